"""The worker: claims studies, reads them, writes their reports."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from boneage_node.bone_age import Answer, Attention, Refusal
from boneage_node.bone_age.predictor import Predictor
from boneage_node.errors import ExitCode
from boneage_node.logs import class_name, get_logger
from boneage_node.radiograph import Choice
from boneage_node.store import DatabaseError, Job, LeaseLost, Status, Store

from .reporter import Reporter
from .settings import ReadingSettings
from .study import assess, choose_and_find


class Worker:
    """Takes jobs from the queue and brings them to an end.

    Args:
        settings: How studies are read.
        store: The store.
        predictor: The loaded model.
        reporter: Makes the reports.
        name: Unique name of this worker, in the leases.
    """

    def __init__(
        self, settings: ReadingSettings, store: Store, predictor: Predictor, reporter: Reporter, name: str
    ) -> None:
        self._settings = settings
        self._store = store
        self._predictor = predictor
        self._name = name
        self._reporter = reporter
        # On a CPU a batch only makes the first study wait for the others.
        self._limit = settings.batch_size if predictor.device.type == "cuda" else 1
        self._log = get_logger()

    def work(self) -> bool:
        """Claim what is waiting and bring it to an end; False when nothing was."""
        jobs = self._store.queue.claim(
            self._name, self._limit, self._settings.lease_seconds, self._settings.retry
        )
        if not jobs:
            return False
        jobs = self._kept(jobs)
        with self._heartbeat([job.id for job in jobs]):
            self._read(jobs)
        return True

    def _kept(self, jobs: list[Job]) -> list[Job]:
        """The jobs to read now: one that may have killed a worker is read alone, the others are given back.

        Else a study that kills its worker would take those that were claimed with it along, attempt after
        attempt, until all are set aside.
        """
        suspect = next((job for job in jobs if job.attempts > 1), None)
        if suspect is None:
            return jobs
        for job in jobs:
            if job is not suspect:
                self._store.queue.release(job, self._name)
        return [suspect]

    def _read(self, jobs: Sequence[Job]) -> None:
        """Choose, decode and find the hand of each study by itself, then assess all in one batch."""
        chosen: list[tuple[Job, Choice]] = []
        for job in jobs:
            try:
                chosen.append((job, self._choose(job)))
            except Exception as error:
                self._failed(job, error)
        try:
            answered = assess([choice for _, choice in chosen], self._predictor)
        except Exception as error:
            if len(chosen) > 1:
                self._log.warning("batch failed, reading one by one", jobs=len(chosen), exc_info=error)
                for job, _ in chosen:
                    self._read([job])
            else:
                for job, _ in chosen:
                    self._failed(job, error)
            return
        for (job, choice), answer in zip(chosen, answered, strict=True):
            self._finish(job, choice, answer)

    def _choose(self, job: Job) -> Choice:
        return choose_and_find(
            [instance.file for instance in job.instances],
            self._predictor,
            sex_required=self._settings.sex_unknown == "refuse",
        )

    def _finish(self, job: Job, choice: Choice, answer: Answer) -> None:
        """Write the report and end the job."""
        try:
            report = self._reporter.report(job, choice, answer, self._attention(choice, answer))
            self._store.queue.complete(job, self._name, [report])
        except LeaseLost:
            self._log.warning("lease lost", study=job.study_id, job=job.id)
        except Exception as error:
            self._failed(job, error)
        else:
            self._log.info(
                "study read",
                study=job.study_id,
                job=job.id,
                outcome=report.kind,
                reason=report.result.reason,
            )

    def _attention(self, choice: Choice, answer: Answer) -> Attention | None:
        """Attention map, where it is asked for and will be seen."""
        if not self._reporter.shows_attention or isinstance(answer, Refusal):
            return None
        if choice.radiograph is None or choice.found_hand is None:
            return None
        try:
            return self._predictor.attention(choice.radiograph.hand, choice.found_hand)
        except Exception as error:  # the reading is done, and must not be lost for want of a map of it
            self._log.warning("no attention map", exc_info=error)
            return None

    def _failed(self, job: Job, error: Exception) -> None:
        """Note a failed attempt: later again, or set aside."""
        self._log.error(
            "reading failed", study=job.study_id, job=job.id, attempt=job.attempts, exc_info=error
        )
        try:
            status = self._store.queue.fail(job, self._name, class_name(error), self._settings.retry)
        except LeaseLost:
            self._log.warning("lease lost", study=job.study_id, job=job.id)
            return
        if status is Status.DEAD:
            self._log.error("study set aside", study=job.study_id, job=job.id)

    @contextmanager
    def _heartbeat(self, job_ids: list[int]) -> Iterator[None]:
        """Keep the leases while this process lives, and end it when a batch takes too long.

        A decoder that hangs cannot be interrupted from within; without a worker the lease runs out.
        """
        done = threading.Event()
        deadline = time.monotonic() + self._settings.timeout_seconds * len(job_ids)
        interval_seconds = min(self._settings.lease_seconds / 3, self._settings.timeout_seconds)

        def beat() -> None:
            while not done.wait(interval_seconds):
                if time.monotonic() > deadline:
                    self._log.critical("reading hangs, ending this worker", jobs=job_ids)
                    os._exit(ExitCode.FAILED)
                try:
                    self._store.queue.extend(job_ids, self._name, self._settings.lease_seconds)
                except DatabaseError as error:
                    self._log.warning("lease not extended", error=class_name(error))

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
