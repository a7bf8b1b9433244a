"""The queue: jobs are claimed under a lease, and end as reports, again later, or as a dead letter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from boneage_node.errors import BoneAgeError
from boneage_node.retry import RetryPolicy
from boneage_node.traffic.file import StoredFile

from .database import insert_if_new
from .history import record
from .leases import Leases, Transition
from .part import Part
from .reports import NewReport, store_report
from .tables import (
    DESTINATION_LENGTH,
    WHERE_TODO,
    EventKind,
    InstanceRow,
    JobRow,
    ReportKind,
    Status,
    StudyRow,
    StudyState,
)

_at_work = aliased(JobRow)
_JOBS = Leases(
    JobRow,
    title=lambda job: f"job {job.id}",
    events={
        Transition.TAKEN_OVER: EventKind.JOB_TAKEN_OVER,
        Transition.FAILED: EventKind.JOB_FAILED,
        Transition.DEAD: EventKind.STUDY_SET_ASIDE,
    },
    lost=lambda job: f"worker {job.worker} died while reading it, or lost its lease",
    may_start=~exists().where(_at_work.study_id == JobRow.study_id, _at_work.status == Status.DOING),
    tasks=select(JobRow, StudyRow).join(StudyRow, StudyRow.id == JobRow.study_id),
    locks=(JobRow, StudyRow),
)


class LeaseLost(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """The job is no longer this worker's: its lease ran out and another one has it, or it has ended."""


@dataclass(frozen=True)
class StoredInstance:
    """An instance of a study and its file.

    Attributes:
        id: Its row.
        file: Its file.
        sop_class_uid: SOP Class UID.
        sop_instance_uid: SOP Instance UID.
        series_instance_uid: Series Instance UID.
        transfer_syntax_uid: Transfer syntax of the file.
        sha256: Of the data set's bytes, in hex.
        received_at: When it was received, UTC.
    """

    id: int
    file: StoredFile
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    sha256: str
    received_at: datetime


@dataclass(frozen=True)
class Job:
    """A study to be read, held by a worker until its lease ends.

    Attributes:
        id: Its row.
        study_id: The study's row.
        study_instance_uid: The study.
        attempts: Which attempt this is, from 1; tells this holding of the job from any other.
        leased_until: When another worker may take it, UTC.
        instances: The study's instances, in the order in which they were received.
    """

    id: int
    study_id: int
    study_instance_uid: str
    attempts: int
    leased_until: datetime
    instances: tuple[StoredInstance, ...]


class Queue(Part):
    """The jobs.

    Locks are taken in one order everywhere, job before study, or both in one statement that skips what is
    locked; so no two processes wait for each other.
    """

    def claim(self, worker: str, limit: int, lease_seconds: float, policy: RetryPolicy) -> list[Job]:
        """Take up to ``limit`` jobs that are due, or whose worker's lease has run out, oldest first.

        Never two jobs of one study at a time, and none of a study that is still receiving. A job whose
        lease has run out in its last attempt becomes a dead letter: it kills its workers.

        Args:
            worker: Name of the claiming worker.
            limit: How many at most.
            lease_seconds: For how long they are this worker's; ``extend`` prolongs it.
            policy: How many workers a job may cost.
        """
        with self._transactions.writing() as session:
            now = self._clock()
            for _, study in _JOBS.bury_spent(session, now, policy):
                _end(session, study, StudyState.SET_ASIDE, now)
            rows = _JOBS.claim(session, now, limit, lease_seconds, policy, StudyRow.settle_at.is_(None))
            for job, study in rows:
                job.worker = worker
                study.state = StudyState.READING
                study.updated_at = now
            session.flush()
            instances = self._instances(session, [study.id for _, study in rows])
            return [_job(job, study, instances[study.id]) for job, study in rows]

    def extend(self, job_ids: Iterable[int], worker: str, lease_seconds: float) -> list[int]:
        """Prolong leases: the worker's heartbeat.

        Returns:
            The jobs that are still this worker's; the others have been taken over or have ended.
        """
        with self._transactions.writing() as session:
            return _JOBS.extend(session, job_ids, self._clock(), lease_seconds, JobRow.worker == worker)

    def release(self, job: Job, worker: str) -> None:
        """Give back a job that was claimed and not begun; it does not count as an attempt.

        Raises:
            LeaseLost: The job is no longer this worker's.
        """
        with self._transactions.writing() as session:
            row, study = _held(session, job, worker)
            now = self._clock()
            _make_way(session, row)
            _JOBS.release(session, row, now)
            _end(session, study, StudyState.QUEUED, now)

    def complete(self, job: Job, worker: str, outcomes: Sequence[NewReport]) -> None:
        """End a job: reports, documents, deliveries, the study's state and history, all in one transaction.

        A report whose SOP Instance UID is there already is the same reading again: it is not stored, not
        sent a second time, and its new files are discarded.

        Args:
            job: The job as it was claimed.
            worker: Who claimed it.
            outcomes: One or more reports; their files are in the spool already.

        Raises:
            LeaseLost: The job is no longer this worker's; nothing was stored.
            ValueError: No outcome (a study never ends in silence), or a destination too long to be one.
        """
        if not outcomes:
            raise ValueError("a job ends with a report or a refusal")
        documents = [document for outcome in outcomes for document in outcome.documents]
        if any(len(to) > DESTINATION_LENGTH for document in documents for to in document.destinations):
            raise ValueError(f"a destination has {DESTINATION_LENGTH} characters at most")
        superfluous: list[str] = []
        with self._transactions.writing() as session:
            row, study = _held(session, job, worker)
            now = self._clock()
            for outcome in outcomes:
                if not store_report(session, study, outcome, now):
                    superfluous += [document.file_name for document in outcome.documents]
            reported = any(outcome.kind == ReportKind.ASSESSMENT for outcome in outcomes)
            kind = EventKind.STUDY_REPORTED if reported else EventKind.STUDY_REFUSED
            _JOBS.complete(session, row, now, kind)
            _end(session, study, StudyState.REPORTED if reported else StudyState.REFUSED, now)
        for name in superfluous:
            self._spool.discard(name)

    def fail(self, job: Job, worker: str, error: str, policy: RetryPolicy) -> Status:
        """Say that an attempt failed: the job is tried again later, or set aside with its study.

        Args:
            job: The job as it was claimed.
            worker: Who claimed it.
            error: What went wrong; kept with the job, not in the history.
            policy: When it is tried again, and after how many attempts it is a dead letter.

        Returns:
            ``Status.TODO`` or ``Status.DEAD``.

        Raises:
            LeaseLost: The job is no longer this worker's.
        """
        with self._transactions.writing() as session:
            row, study = _held(session, job, worker)
            now = self._clock()
            is_last = policy.is_last(row.attempts)
            if not is_last:
                _make_way(session, row)
            _JOBS.fail(session, row, error, now, policy)
            _end(session, study, StudyState.SET_ASIDE if is_last else StudyState.QUEUED, now)
            return row.status

    def counts(self) -> dict[str, int]:
        """Numbers of jobs by status."""
        with self._transactions.reading() as session:
            return _JOBS.counts(session)

    def _instances(self, session: Session, study_ids: list[int]) -> dict[int, tuple[StoredInstance, ...]]:
        rows = session.scalars(
            select(InstanceRow).where(InstanceRow.study_id.in_(study_ids)).order_by(InstanceRow.id)
        ).all()
        return {
            study_id: tuple(
                StoredInstance(
                    id=row.id,
                    file=self._spool.file(row.file_name),
                    sop_class_uid=row.sop_class_uid,
                    sop_instance_uid=row.sop_instance_uid,
                    series_instance_uid=row.series_instance_uid,
                    transfer_syntax_uid=row.transfer_syntax_uid,
                    sha256=row.sha256,
                    received_at=row.received_at,
                )
                for row in rows
                if row.study_id == study_id
            )
            for study_id in study_ids
        }


def enqueue(session: Session, study: StudyRow, now: datetime) -> None:
    """Queue a study, whose row is locked: one job to do, now, whether or not one was waiting already."""
    is_new = insert_if_new(
        session,
        JobRow,
        ["study_id"],
        where=WHERE_TODO,
        study_id=study.id,
        status=Status.TODO,
        attempts=0,
        created_at=now,
        scheduled_at=now,
    )
    if not is_new:  # It waits after a failure, perhaps for long, and now there is more to read.
        session.execute(
            update(JobRow)
            .where(JobRow.study_id == study.id, JobRow.status == Status.TODO, JobRow.scheduled_at > now)
            .values(scheduled_at=now)
        )
    study.state = StudyState.QUEUED
    study.settle_at = None
    study.updated_at = now
    record(session, EventKind.STUDY_QUEUED, now, study.id)


def _held(session: Session, job: Job, worker: str) -> tuple[JobRow, StudyRow]:
    """The rows of a job that is this worker's, locked, job first."""
    rows = _JOBS.held(session, [job.id], JobRow.worker == worker, JobRow.attempts == job.attempts)
    if not rows:
        raise LeaseLost(f"job {job.id} is no longer held by {worker} in attempt {job.attempts}")
    (row,) = rows
    study = session.scalars(select(StudyRow).where(StudyRow.id == row.study_id).with_for_update()).one()
    return row, study


def _make_way(session: Session, row: JobRow) -> None:
    """Let a job that is put back take the place of one that was queued for the study meanwhile."""
    session.execute(delete(JobRow).where(JobRow.study_id == row.study_id, JobRow.status == Status.TODO))
    row.worker = None


def _end(session: Session, study: StudyRow, state: StudyState, now: datetime) -> None:
    """Give a study the state its job ends in, unless it has been receiving or was queued again meanwhile."""
    session.flush()
    waiting = exists().where(JobRow.study_id == study.id, JobRow.status == Status.TODO)
    if study.settle_at is not None:
        state = StudyState.RECEIVING
    elif session.scalar(select(waiting)):
        state = StudyState.QUEUED
    study.state = state
    study.updated_at = now


def _job(job: JobRow, study: StudyRow, instances: tuple[StoredInstance, ...]) -> Job:
    assert job.leased_until is not None, "just claimed"
    return Job(
        id=job.id,
        study_id=study.id,
        study_instance_uid=study.study_instance_uid,
        attempts=job.attempts,
        leased_until=job.leased_until,
        instances=instances,
    )
