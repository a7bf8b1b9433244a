"""Studies as an operator sees them: the list, everything about one, and trying again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from boneage_node.errors import BoneAgeError
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.result import Result

from .commitments import CommitmentDetail, commitments_of, reopen_unanswered
from .history import record
from .outbox import DELIVERIES
from .part import Part
from .queue import enqueue
from .tables import (
    UID,
    Base,
    DeliveryRow,
    DocumentRow,
    EventKind,
    EventRow,
    InstanceRow,
    JobRow,
    ReportKind,
    ReportRow,
    Status,
    StudyRow,
    StudyState,
)

_LARGEST_ID = 2**31 - 1

Row = TypeVar("Row", InstanceRow, JobRow, ReportRow, DocumentRow, DeliveryRow, EventRow)


class NoSuchStudy(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """No study has that id or Study Instance UID."""


@dataclass(frozen=True)
class StudySummary:
    """A line of the list of studies.

    Attributes:
        id: Its row.
        study_instance_uid: The study.
        state: Where it is on its way.
        received_at: When its first instance came, UTC.
        updated_at: When its state last changed, UTC.
        instances: How many it has.
        result: What the latest report says; None before there is one.
        deliveries: How many deliveries of each status, where there are any.
    """

    id: int
    study_instance_uid: str
    state: StudyState
    received_at: datetime
    updated_at: datetime
    instances: int
    result: Result | None
    deliveries: dict[str, int]


@dataclass(frozen=True)
class InstanceDetail:
    """A received instance; times are UTC."""

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
class JobDetail:
    """A job of reading the study; times are UTC."""

    id: int
    status: Status
    attempts: int
    created_at: datetime
    scheduled_at: datetime
    finished_at: datetime | None
    leased_until: datetime | None
    worker: str | None
    last_error: str | None


@dataclass(frozen=True)
class DocumentDetail:
    """An object made of a report; the UIDs are None where it is no DICOM."""

    id: int
    form: DocumentForm
    sop_class_uid: str | None
    sop_instance_uid: str | None
    file: StoredFile


@dataclass(frozen=True)
class ReportDetail:
    """A report, with what was made of it to be sent."""

    id: int
    instance_id: int | None
    kind: ReportKind
    sop_instance_uid: str
    result: Result
    study_date: date | None
    created_at: datetime
    documents: list[DocumentDetail]

    def document(self, form: DocumentForm) -> DocumentDetail | None:
        """The document of a form; None where none was made."""
        return next((document for document in self.documents if document.form is form), None)


@dataclass(frozen=True)
class DeliveryDetail:
    """A delivery of a document; times are UTC. ``commitment`` is None where none was requested."""

    id: int
    document_id: int
    destination: str
    status: Status
    attempts: int
    created_at: datetime
    scheduled_at: datetime
    finished_at: datetime | None
    last_error: str | None
    commitment: CommitmentDetail | None


@dataclass(frozen=True)
class Event:
    """A line of the study's history; ``at`` is UTC."""

    at: datetime
    kind: str
    detail: str


@dataclass(frozen=True)
class StudyDetail:
    """Everything about a study, each list in the order in which it came to be."""

    id: int
    study_instance_uid: str
    state: StudyState
    received_at: datetime
    updated_at: datetime
    settle_at: datetime | None
    instances: list[InstanceDetail]
    jobs: list[JobDetail]
    reports: list[ReportDetail]
    deliveries: list[DeliveryDetail]
    events: list[Event]


@dataclass(frozen=True)
class Retried:
    """Tasks that trying again set going.

    Attributes:
        reading: Whether the study is read again.
        deliveries: How many documents are sent again.
        commitments: For how many documents their destination is asked again whether it keeps them.
    """

    reading: bool
    deliveries: int
    commitments: int


class Studies(Part):
    """The studies."""

    def show(self, study: int | str) -> StudyDetail:
        """Everything about a study.

        Args:
            study: Its id (also as digits) or its Study Instance UID.

        Raises:
            NoSuchStudy: There is none.
        """
        with self._transactions.reading() as session:
            row = _study(session, study)
            commitments = commitments_of(session, row.id)
            return StudyDetail(
                **_values(StudyDetail, row),
                instances=[self._instance(item) for item in _rows(session, InstanceRow, study_id=row.id)],
                jobs=[
                    JobDetail(**_values(JobDetail, item)) for item in _rows(session, JobRow, study_id=row.id)
                ],
                reports=[self._report(session, item) for item in _rows(session, ReportRow, study_id=row.id)],
                deliveries=[
                    DeliveryDetail(commitment=commitments.get(item.id), **_values(DeliveryDetail, item))
                    for item in _rows(session, DeliveryRow, study_id=row.id)
                ],
                events=[Event(**_values(Event, item)) for item in _rows(session, EventRow, study_id=row.id)],
            )

    def retry(self, study: int | str) -> Retried:
        """Try again with a study that has come to an end.

        Its dead letters are sent again, and destinations that never said whether they keep what they were
        sent are asked again. Without any of both, the study is read again: the same reading is then not sent
        a second time, another one (a new model's) is. A study that is on its way is left alone.

        Args:
            study: Its id (also as digits) or its Study Instance UID.

        Raises:
            NoSuchStudy: There is none.
        """
        with self._transactions.writing() as session:
            row = _study(session, study, lock=True)
            now = self._clock()
            of_study = DeliveryRow.study_id == row.id
            dead = DELIVERIES.lock(session, of_study, DeliveryRow.status == Status.DEAD)
            for delivery in dead:
                DELIVERIES.reopen(session, delivery, now)
            asked = reopen_unanswered(session, row.id, now)
            at_rest = {StudyState.REPORTED, StudyState.REFUSED, StudyState.SET_ASIDE}
            reading = row.state == StudyState.SET_ASIDE or (not dead and not asked and row.state in at_rest)
            if reading:
                record(session, EventKind.STUDY_RETRIED, now, row.id)
                enqueue(session, row, now)
            return Retried(reading=reading, deliveries=len(dead), commitments=asked)

    def counts(self) -> dict[str, int]:
        """Numbers of studies by state."""
        with self._transactions.reading() as session:
            query = select(StudyRow.state, func.count()).group_by(StudyRow.state)
            found = dict(session.execute(query).all())
        return {state.value: found.get(state, 0) for state in StudyState}

    def list(self, *, state: StudyState | None = None, limit: int = 100) -> list[StudySummary]:
        """The latest studies, newest first.

        Args:
            state: Only those in this state.
            limit: How many at most.
        """
        with self._transactions.reading() as session:
            query = select(StudyRow).order_by(StudyRow.id.desc()).limit(limit)
            if state is not None:
                query = query.where(StudyRow.state == state)
            return _summaries(session, session.scalars(query).all())

    def _instance(self, row: InstanceRow) -> InstanceDetail:
        return InstanceDetail(file=self._spool.file(row.file_name), **_values(InstanceDetail, row))

    def _report(self, session: Session, row: ReportRow) -> ReportDetail:
        documents = [
            DocumentDetail(file=self._spool.file(item.file_name), **_values(DocumentDetail, item))
            for item in _rows(session, DocumentRow, report_id=row.id)
        ]
        return ReportDetail(documents=documents, **_values(ReportDetail, row))


def _values(shape: type[Any], row: Base) -> dict[str, Any]:
    """The columns of a row that a dataclass has a field for."""
    names = {field.name for field in fields(shape)} & set(row.__table__.columns.keys())
    return {name: getattr(row, name) for name in names}


def _rows(session: Session, table: type[Row], **equal: Any) -> Sequence[Row]:
    return session.scalars(select(table).filter_by(**equal).order_by(table.id)).all()


def _study(session: Session, study: int | str, *, lock: bool = False) -> StudyRow:
    query = select(StudyRow)
    if isinstance(study, int) or (study.isascii() and study.isdigit()):
        if int(study) > _LARGEST_ID:
            raise NoSuchStudy(f"no study has the id {study}")
        query = query.where(StudyRow.id == int(study))
    elif UID.fullmatch(study):
        query = query.where(StudyRow.study_instance_uid == study)
    else:
        raise NoSuchStudy("that is neither the id of a study nor a Study Instance UID")
    row = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NoSuchStudy(f"there is no study {study}")
    return row


def _summaries(session: Session, studies: Sequence[StudyRow]) -> list[StudySummary]:
    """Summaries of these studies, with three queries for all of them together."""
    ids = [study.id for study in studies]
    instances = dict(
        session.execute(
            select(InstanceRow.study_id, func.count())
            .where(InstanceRow.study_id.in_(ids))
            .group_by(InstanceRow.study_id)
        ).all()
    )
    latest = select(func.max(ReportRow.id)).where(ReportRow.study_id.in_(ids)).group_by(ReportRow.study_id)
    results = {
        report.study_id: report.result
        for report in session.scalars(select(ReportRow).where(ReportRow.id.in_(latest)))
    }
    deliveries: dict[int, dict[str, int]] = {}
    by_status = (
        select(DeliveryRow.study_id, DeliveryRow.status, func.count())
        .where(DeliveryRow.study_id.in_(ids))
        .group_by(DeliveryRow.study_id, DeliveryRow.status)
    )
    for study_id, status, count in session.execute(by_status):
        deliveries.setdefault(study_id, {})[status.value] = count
    return [
        StudySummary(
            id=study.id,
            study_instance_uid=study.study_instance_uid,
            state=study.state,
            received_at=study.received_at,
            updated_at=study.updated_at,
            instances=instances.get(study.id, 0),
            result=results.get(study.id),
            deliveries=deliveries.get(study.id, {}),
        )
        for study in studies
    ]
