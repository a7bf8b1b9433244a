"""The queue: jobs are claimed under a lease, and end as reports, again later, or as a dead letter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.orm import aliased

from boneage_node.errors import BoneAgeError
from boneage_node.retry import RetryPolicy
from boneage_node.traffic.file import StoredFile

from .arrivals import instances_in
from .courses import PatientKey, outdated_studies, patient_of_newest
from .database import Transaction, insert_if_new
from .leases import LeasedPart, Leases, Transition, release
from .part import build
from .reports import NewReport, store_report
from .tables import WHERE_TODO, EventKind, JobRow, ReportKind, Status, StudyRow, StudyState

_at_work = aliased(JobRow)
_JOBS = Leases(
    JobRow,
    title=lambda job: f"job {job.id}",
    events={
        Transition.TAKEN_OVER: EventKind.JOB_TAKEN_OVER,
        Transition.FAILED: EventKind.JOB_FAILED,
        Transition.PUT_OFF: EventKind.JOB_PUT_OFF,
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
    """An instance of a study and its file; ``sha256`` is of the data set's bytes; times are UTC."""

    id: int
    file: StoredFile
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    sha256: str
    size_bytes: int
    calling_ae_title: str
    received_at: datetime


@dataclass(frozen=True)
class Job:
    """A study to be read, held by a worker until its lease ends.

    Attributes:
        id: Its row.
        study_id: The study's row.
        study_instance_uid: The study.
        attempts: Which attempt this is, from 1; tells this holding of the job from any other.
        instances: The instances that lie in the study now, in the order in which they last came. None where
            all have moved to other studies.
    """

    id: int
    study_id: int
    study_instance_uid: str
    attempts: int
    instances: list[StoredInstance]


class Queue(LeasedPart):
    """The jobs.

    Locks are taken in one order everywhere, job before study, or both in one statement that skips what is
    locked; so no two processes wait for each other. A method that is given a job as it was claimed raises
    LeaseLost, and changes nothing, where the job is no longer that worker's.
    """

    _leases = _JOBS

    def claim(self, worker: str, limit: int, lease_seconds: float, policy: RetryPolicy) -> list[Job]:
        """Take up to ``limit`` jobs that are due, or whose worker's lease has run out, oldest first.

        Never two jobs of one study at a time, and none of a study that is still receiving.
        """
        with self._transactions.writing() as session:
            for _, study in _JOBS.bury_spent(session, policy):
                _end(session, study, StudyState.SET_ASIDE)
            rows = _JOBS.claim(session, limit, lease_seconds, policy, StudyRow.settle_at.is_(None))
            for job, study in rows:
                job.worker = worker
                study.state = StudyState.READING
                study.updated_at = session.now
            return [
                build(Job, job, study, instances=self._instances(session, study.id)) for job, study in rows
            ]

    def extend(self, job_ids: Iterable[int], worker: str, lease_seconds: float) -> list[int]:
        """Prolong leases, the worker's heartbeat; returns the jobs that are still this worker's."""
        with self._transactions.writing() as session:
            return _JOBS.extend(session, job_ids, lease_seconds, JobRow.worker == worker)

    def release(self, job: Job, worker: str) -> None:
        """Give back a job that was claimed and not begun; it does not count as an attempt."""
        with self._transactions.writing() as session:
            row, study = _held(session, job, worker)
            _make_way(session, row)
            release(row)
            _end(session, study, StudyState.QUEUED)

    def complete(self, job: Job, worker: str, outcomes: Sequence[NewReport]) -> None:
        """End a job: reports, documents, deliveries, the study's state and history, all in one transaction.

        A report whose SOP Instance UID is there already is the same reading again: it is not stored, not
        sent a second time, and its new files are discarded. Where a study is reported on anew, others of the
        patient whose newest report tells of what does not hold any more are queued to be read again. A job
        that was set aside because its last lease ran out (the machine had been suspended, or its clock set
        forward) ends all the same.

        Args:
            job: The job as it was claimed.
            worker: Who claimed it.
            outcomes: One or more reports; their files are in the spool already.

        Raises:
            ValueError: No outcome: a study never ends in silence.
        """
        if not outcomes:
            raise ValueError("a job ends with a report or a refusal")
        superfluous: list[str] = []
        with self._transactions.writing() as session:
            row, study = _held(session, job, worker, set_aside=True)
            patients = patient_of_newest(session, study.id)
            for outcome in outcomes:
                if not store_report(session, study.id, outcome):
                    superfluous += [document.file_name for document in outcome.documents]
            reported = any(outcome.kind == ReportKind.ASSESSMENT for outcome in outcomes)
            _JOBS.complete(session, row, EventKind.STUDY_REPORTED if reported else EventKind.STUDY_REFUSED)
            _end(session, study, StudyState.REPORTED if reported else StudyState.REFUSED)
            if patients:  # Of a study that had no report yet, none can tell.
                _renew_courses(session, study, patients | patient_of_newest(session, study.id))
        for name in superfluous:
            self._spool.discard(name)

    def fail(
        self, job: Job, worker: str, error: str, policy: RetryPolicy, *, permanent: bool = False
    ) -> Status:
        """Try a job again later, or set it aside with its study; returns its status now.

        Args:
            job: The job as it was claimed.
            worker: Who claimed it.
            error: What went wrong.
            policy: When it is tried again, and how often.
            permanent: It is not, until a person says so.
        """
        with self._transactions.writing() as session:
            row, study = _held(session, job, worker)
            is_last = permanent or policy.is_last(row.attempts)
            if not is_last:
                _make_way(session, row)
            _JOBS.fail(session, row, error, policy, permanent=permanent)
            _end(session, study, StudyState.SET_ASIDE if is_last else StudyState.QUEUED)
            return row.status

    def put_off(self, job: Job, worker: str, trouble: str, policy: RetryPolicy) -> None:
        """Give back a job for the node's own trouble, as `Leases.put_off`: it costs the study no attempt."""
        with self._transactions.writing() as session:
            row, study = _held(session, job, worker)
            _put_off(session, row, study, trouble, policy)

    def put_off_all(self, worker: str, trouble: str, policy: RetryPolicy) -> None:
        """Give back all that a worker holds which is at nothing: the database went away under its hands."""
        with self._transactions.writing() as session:
            for row in _JOBS.lock(session, JobRow.worker == worker, JobRow.status == Status.DOING):
                study = session.get_one(StudyRow, row.study_id, with_for_update=True)
                _put_off(session, row, study, trouble, policy)

    def troubles(self) -> dict[str, int]:
        """The troubles of the node's own for which jobs wait, with how many wait for each."""
        waiting = (JobRow.status == Status.TODO, JobRow.put_off > 0)
        by_trouble = select(JobRow.last_error, func.count()).where(*waiting).group_by(JobRow.last_error)
        with self._transactions.reading() as session:
            return {trouble or "": jobs for trouble, jobs in session.execute(by_trouble)}

    def _instances(self, session: Transaction, study_id: int) -> list[StoredInstance]:
        return [
            build(StoredInstance, row, file=self._spool.file(row.file_name))
            for row in instances_in(session, study_id)
        ]


def enqueue(session: Transaction, study: StudyRow) -> None:
    """Queue a study, whose row is locked: one job to do, now, whether or not one was waiting already."""
    now = session.now
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
        set_at=now,
    )
    if not is_new:  # It waits after a failure, perhaps for long, and now there is more to read.
        session.execute(
            update(JobRow)
            .where(JobRow.study_id == study.id, JobRow.status == Status.TODO, JobRow.scheduled_at > now)
            .values(scheduled_at=now, set_at=now)
        )
    study.state = StudyState.QUEUED
    study.settle_at = None
    study.updated_at = now
    session.record(EventKind.STUDY_QUEUED, study.id)


def _renew_courses(session: Transaction, changed: StudyRow, patients: set[PatientKey]) -> None:
    """Queue the studies whose newest report tells of a reading that was put right by that of another one."""
    session.flush()
    for patient in sorted(patients):
        for study in outdated_studies(session, patient, changed):
            session.record(EventKind.COURSE_OUTDATED, study.id, f"the reading of study {changed.id} changed")
            enqueue(session, study)


def _held(session: Transaction, job: Job, worker: str, *, set_aside: bool = False) -> tuple[JobRow, StudyRow]:
    """The rows of a job that is this worker's, or was until it was set aside, locked, job first."""
    statuses = [Status.DOING, Status.DEAD] if set_aside else [Status.DOING]
    rows = _JOBS.lock(
        session,
        JobRow.id == job.id,
        JobRow.worker == worker,
        JobRow.attempts == job.attempts,
        JobRow.status.in_(statuses),
    )
    if not rows:
        raise LeaseLost(f"job {job.id} is no longer held by {worker} in attempt {job.attempts}")
    return rows[0], session.get_one(StudyRow, rows[0].study_id, with_for_update=True)


def _put_off(session: Transaction, row: JobRow, study: StudyRow, trouble: str, policy: RetryPolicy) -> None:
    _make_way(session, row)
    _JOBS.put_off(session, row, trouble, policy)
    _end(session, study, StudyState.QUEUED)


def _make_way(session: Transaction, row: JobRow) -> None:
    """Let a job that is put back take the place of one that was queued for the study meanwhile."""
    session.execute(delete(JobRow).where(JobRow.study_id == row.study_id, JobRow.status == Status.TODO))
    row.worker = None


def _end(session: Transaction, study: StudyRow, state: StudyState) -> None:
    """Give a study the state its job ends in, unless it has been receiving or was queued again meanwhile."""
    session.flush()
    waiting = exists().where(JobRow.study_id == study.id, JobRow.status == Status.TODO)
    if study.settle_at is not None:
        state = StudyState.RECEIVING
    elif session.scalar(select(waiting)):
        state = StudyState.QUEUED
    study.state = state
    study.updated_at = session.now
