"""The worker: claims studies, reads them, writes their reports."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch

from boneage_node.bone_age import Answer, Attention, Refusal
from boneage_node.bone_age.predictor import Predictor
from boneage_node.errors import ExitCode, NodeError
from boneage_node.logs import Trouble, class_name, get_logger
from boneage_node.radiograph import Choice
from boneage_node.store import DatabaseError, Job, LeaseLost, Status, Store, leases_kept

from .reporter import Reporter, TooManyReportsError
from .settings import ReadingSettings
from .study import assess, choose_and_find
from .trouble import WAITS, is_device_lost, node_trouble

_DATABASE_AWAY = "the database was away"


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
        self._health = _Health()
        self._holds_unknown = False

    def work(self) -> bool:
        """Claim what is waiting and bring it to an end; False when nothing was, or the node is in trouble.

        Raises:
            DatabaseError: The database is away. What was being read is given back when it is there again.
            NodeError: The device is lost to this process.
        """
        try:
            return self._work()
        except DatabaseError:
            self._holds_unknown = True
            raise

    def _work(self) -> bool:
        if self._holds_unknown:
            self._store.queue.put_off_all(self._name, _DATABASE_AWAY, WAITS)
            self._holds_unknown = False
        if self._health.pauses():
            return False
        jobs = self._store.queue.claim(
            self._name, self._limit, self._settings.lease_seconds, self._settings.retry
        )
        if not jobs:
            return False
        jobs = self._kept(jobs)
        with self._heartbeat([job.id for job in jobs]):
            self._read(jobs)
        if self._health.device_is_lost:
            raise NodeError(
                ExitCode.MODEL, f"The device {self._predictor.device} failed, and is opened anew."
            )
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
            if len(chosen) > 1 and not is_device_lost(error):
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
            self._health.well()
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
        """Note a failed attempt: later again, or set aside; for the node's trouble always later again."""
        trouble = node_trouble(error)
        try:
            if trouble is not None:
                self._health.met(trouble, error, job)
                self._store.queue.put_off(job, self._name, trouble, WAITS)
                return
            self._log.error(
                "reading failed", study=job.study_id, job=job.id, attempt=job.attempts, exc_info=error
            )
            is_loop = isinstance(error, TooManyReportsError)
            said = str(error) if is_loop else class_name(error)
            status = self._store.queue.fail(job, self._name, said, self._settings.retry, permanent=is_loop)
        except LeaseLost:
            self._log.warning("lease lost", study=job.study_id, job=job.id)
            return
        if status is Status.DEAD:
            self._log.error("study set aside", study=job.study_id, job=job.id)

    def _heartbeat(self, job_ids: list[int]) -> AbstractContextManager[None]:
        """Keep the leases while this process lives, and end it when a batch takes too long.

        A decoder that hangs cannot be interrupted from within; without a worker the lease runs out.
        """
        deadline = time.monotonic() + self._settings.timeout_seconds * len(job_ids)

        def beat() -> None:
            if time.monotonic() > deadline:
                self._log.critical("reading hangs, ending this worker", jobs=job_ids)
                os._exit(ExitCode.FAILED)
            self._store.queue.extend(job_ids, self._name, self._settings.lease_seconds)

        return leases_kept(beat, min(self._settings.lease_seconds / 3, self._settings.timeout_seconds))


class _Health:
    """The troubles of the node's own that a worker meets: each said once, and a pause after each.

    The pause keeps a worker from trying all that waits while nothing can be done; it is short, for the
    trouble may be of one file alone, and what else comes should not wait for that.
    """

    _PAUSE_SECONDS_MAX = 10.0

    def __init__(self) -> None:
        self.device_is_lost = False
        self._troubles: dict[str, Trouble] = {}
        self._in_a_row = 0
        self._pause_until = float("-inf")

    def pauses(self) -> bool:
        """Whether nothing should be tried now."""
        if not self._in_a_row:
            for trouble in self._troubles.values():
                trouble.well()
        return time.monotonic() < self._pause_until

    def met(self, what: str, error: Exception, job: Job) -> None:
        """Note trouble."""
        trouble = self._troubles.setdefault(what, Trouble("node in trouble", "node well again"))
        trouble.met(problem=what, study=job.study_id, job=job.id, exc_info=error)
        self._in_a_row += 1
        self.device_is_lost |= is_device_lost(error)
        pause_seconds = min(self._PAUSE_SECONDS_MAX, 2.0 ** min(self._in_a_row - 1, 10))
        self._pause_until = time.monotonic() + pause_seconds
        if isinstance(error, torch.OutOfMemoryError):
            torch.cuda.empty_cache()

    def well(self) -> None:
        """Note that a study was read."""
        self._in_a_row = 0
        self._pause_until = float("-inf")
