"""Studies as an operator sees them: the list, everything about one, and trying again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, exists, func, or_, select

from boneage_node.errors import BoneAgeError
from boneage_node.traffic.file import StoredFile
from boneage_node.traffic.uid import is_uid

from . import outbox
from .arrivals import forget_arrivals, instances_in
from .commitments import COMMITMENTS, commitments_of
from .database import Transaction
from .details import (
    DeliveryDetail,
    DocumentDetail,
    Event,
    JobDetail,
    ReportDetail,
    Retried,
    StudyDetail,
    StudySummary,
)
from .part import Part, build
from .queue import StoredInstance, enqueue
from .tables import (
    ArrivalRow,
    CommitmentRow,
    DeliveryOutcome,
    DeliveryRow,
    DocumentRow,
    EventKind,
    EventRow,
    InstanceRow,
    JobRow,
    ReportRow,
    Status,
    StudyRow,
    StudyState,
)

_LARGEST_ID = 2**31 - 1

Row = TypeVar("Row", InstanceRow, JobRow, ReportRow, DeliveryRow, EventRow)


class NoSuchStudy(BoneAgeError):  # noqa: N818 - reads as the sentence it is
    """No study, or more than one, is what was asked for; the message says which."""


class Studies(Part):
    """The studies."""

    def show(self, study: int | str) -> StudyDetail:
        """Everything about a study.

        Args:
            study: Its id (also as digits), its Study Instance UID, or its accession number.

        Raises:
            NoSuchStudy: There is none, or several have the accession number.
        """
        with self._transactions.reading() as session:
            row = _study(session, study)
            commitments = commitments_of(session, row.id)
            return build(
                StudyDetail,
                row,
                instances=[
                    build(StoredInstance, each, file=self._spool.file(each.file_name))
                    for each in _of(session, InstanceRow, row)
                ],
                jobs=[build(JobDetail, each) for each in _of(session, JobRow, row)],
                reports=[self._report(session, each) for each in _of(session, ReportRow, row)],
                deliveries=[
                    build(DeliveryDetail, each, commitment=commitments.get(each.id))
                    for each in _of(session, DeliveryRow, row)
                ],
                events=[build(Event, each) for each in _of(session, EventRow, row)],
            )

    def retry(self, study: int | str | None = None, destination: str | None = None) -> Retried:
        """Set going now what has failed or waits for its next attempt.

        Dead letters and deliveries that wait are sent, destinations that have not said whether they keep what
        they took are asked, and studies that were set aside, or wait after a failure, are read. What is done,
        under way or about to be done is left alone.

        Args:
            study: Id (also as digits), Study Instance UID or accession number; None for all studies.
            destination: Only what goes there.

        Raises:
            NoSuchStudy: There is none, or several have the accession number.
        """
        with self._transactions.writing() as session:
            row = None if study is None else _study(session, study, lock=True)
            return Retried(
                readings=_read_stuck(session, row) if destination is None else 0,
                deliveries=outbox.retry(session, *_only(DeliveryRow, row, destination)),
                commitments=len(
                    COMMITMENTS.reopen(
                        session, COMMITMENTS.stuck(session.now), *_only(CommitmentRow, row, destination)
                    )
                ),
            )

    def send_again(self, study: int | str, destination: str | None = None) -> int:
        """Send once more what was delivered of a study's newest report; returns how many documents.

        Args:
            study: Id (also as digits), Study Instance UID or accession number.
            destination: Only what goes there.

        Raises:
            NoSuchStudy: There is none, or several have the accession number.
        """
        with self._transactions.writing() as session:
            row = _study(session, study, lock=True)
            return outbox.send_again(session, *_only(DeliveryRow, row, destination))

    def redirect(self, old: str, new: str) -> int:
        """Send to another destination what one has not got; returns how many documents."""
        with self._transactions.writing() as session:
            return outbox.redirect(session, old, new)

    def read_again(self, study: int | str) -> bool:
        """Read a study again, unless it is on its way; the same reading is not sent a second time.

        Returns:
            Whether it will be read.

        Raises:
            NoSuchStudy: There is none, or several have the accession number.
        """
        with self._transactions.writing() as session:
            row = _study(session, study, lock=True)
            at_rest = row.state in (StudyState.REPORTED, StudyState.REFUSED, StudyState.SET_ASIDE)
            if at_rest:
                _read(session, row)
            return at_rest

    def counts(self) -> dict[str, int]:
        """Numbers of studies by state."""
        return self._count(StudyState, StudyRow.state)

    def list(
        self, *, state: StudyState | None = None, accession_number: str | None = None, limit: int = 100
    ) -> list[StudySummary]:
        """The latest studies, newest first.

        Args:
            state: Only those in this state.
            accession_number: Only those that have it.
            limit: How many at most.
        """
        with self._transactions.reading() as session:
            query = select(StudyRow).order_by(StudyRow.id.desc()).limit(limit)
            if state is not None:
                query = query.where(StudyRow.state == state)
            if accession_number is not None:
                query = query.where(StudyRow.accession_number == accession_number)
            return _summaries(session, session.scalars(query).all())

    def leave_out(self, study: int | str, image: int | str) -> None:
        """Leave an image of a study out from now on, all its copies, and read the study again without it.

        It counts again once somebody sends it again.

        Args:
            study: Id (also as digits), Study Instance UID or accession number.
            image: Number of the instance (also as digits), or its SOP Instance UID.

        Raises:
            NoSuchStudy: There is none, or it has no such image, or several have the accession number.
        """
        with self._transactions.writing() as session:
            row = _study(session, study, lock=True)
            instances = _of(session, InstanceRow, row)
            uids = {each.sop_instance_uid for each in instances if _goes_by(each, str(image))}
            left_out = [each for each in instances_in(session, row.id) if each.sop_instance_uid in uids]
            if not left_out:
                raise NoSuchStudy("The study has no such image")
            for each in left_out:
                session.record(EventKind.INSTANCE_LEFT_OUT, row.id, f"instance {each.id}")
            forget_arrivals(session, {each.sop_instance_uid for each in left_out})
            enqueue(session, row)

    def count_images(self, study_instance_uid: str, series_instance_uids: Collection[str] = ()) -> int:
        """How many different images have come of a study; of these series alone, where any are named."""
        query = (
            select(func.count(InstanceRow.sop_instance_uid.distinct()))
            .join(StudyRow, StudyRow.id == InstanceRow.study_id)
            .where(StudyRow.study_instance_uid == study_instance_uid)
        )
        if series_instance_uids:
            query = query.where(InstanceRow.series_instance_uid.in_(series_instance_uids))
        with self._transactions.reading() as session:
            return session.scalar(query) or 0

    def newest_files(self, study_ids: Iterable[int]) -> dict[int, StoredFile]:
        """The file that came last of each of these studies, by the study's id."""
        with self._transactions.reading() as session:
            newest = (
                select(func.max(ArrivalRow.id))
                .join(InstanceRow, InstanceRow.id == ArrivalRow.instance_id)
                .where(InstanceRow.study_id.in_(study_ids))
                .group_by(InstanceRow.study_id)
            )
            rows = session.execute(
                select(InstanceRow.study_id, InstanceRow.file_name)
                .join(ArrivalRow, ArrivalRow.instance_id == InstanceRow.id)
                .where(ArrivalRow.id.in_(newest))
            )
            return {study_id: self._spool.file(file_name) for study_id, file_name in rows}

    def _report(self, session: Transaction, row: ReportRow) -> ReportDetail:
        rows = session.scalars(select(DocumentRow).filter_by(report_id=row.id).order_by(DocumentRow.id))
        documents = [build(DocumentDetail, each, file=self._spool.file(each.file_name)) for each in rows]
        return build(ReportDetail, row, documents=documents)


def _of(session: Transaction, table: type[Row], study: StudyRow) -> Sequence[Row]:
    """The rows of a study, in the order in which they came to be."""
    return session.scalars(select(table).filter_by(study_id=study.id).order_by(table.id)).all()


def _goes_by(instance: InstanceRow, name: str) -> bool:
    """Whether an instance goes by a name: its number, or its SOP Instance UID."""
    return name in (str(instance.id), instance.sop_instance_uid)


def _study(session: Transaction, study: int | str, *, lock: bool = False) -> StudyRow:
    """The study of an id, a UID or an accession number: of the first of these that there is.

    Raises:
        NoSuchStudy: There is none, or several have the accession number.
    """
    for condition in _meanings(study):
        query = select(StudyRow).where(condition).order_by(StudyRow.id)
        rows = session.scalars(query.with_for_update() if lock else query).all()
        if len(rows) > 1:
            numbers = ", ".join(str(row.id) for row in rows)
            raise NoSuchStudy(f"Several studies have this accession number: name one of {numbers}")
        if rows:
            return rows[0]
    raise NoSuchStudy("No study has this number, Study Instance UID or accession number")


def _meanings(study: int | str) -> Iterator[ColumnElement[bool]]:
    """What a study may be named by. A number of digits may be an id or an accession number."""
    if isinstance(study, int) or (study.isascii() and study.isdigit()):
        if 0 <= int(study) <= _LARGEST_ID:
            yield StudyRow.id == int(study)
    elif is_uid(study):
        yield StudyRow.study_instance_uid == study
    if isinstance(study, str) and study:
        yield StudyRow.accession_number == study


def _read_stuck(session: Transaction, study: StudyRow | None) -> int:
    """Read studies, or one, that were set aside or wait after a failure; returns how many.

    Not those of which more images are just coming in: they are read once they are whole.
    """
    waits = exists().where(
        JobRow.study_id == StudyRow.id, JobRow.status == Status.TODO, JobRow.scheduled_at > session.now
    )
    stuck = (
        select(StudyRow)
        .where(or_(StudyRow.state == StudyState.SET_ASIDE, waits), StudyRow.settle_at.is_(None))
        .order_by(StudyRow.id)
    )
    if study is not None:
        stuck = stuck.where(StudyRow.id == study.id)
    rows = session.scalars(stuck.with_for_update()).all()
    for row in rows:
        _read(session, row)
    return len(rows)


def _read(session: Transaction, study: StudyRow) -> None:
    session.record(EventKind.STUDY_RETRIED, study.id)
    enqueue(session, study)


def _only(
    table: type[DeliveryRow | CommitmentRow], study: StudyRow | None, destination: str | None
) -> list[ColumnElement[bool]]:
    """Conditions of the rows of a study, to a destination, or of whatever study and destination."""
    conditions = [] if study is None else [table.study_id == study.id]
    return conditions if destination is None else [*conditions, table.destination == destination]


def _summaries(session: Transaction, studies: Sequence[StudyRow]) -> list[StudySummary]:
    """Summaries of these studies, with five queries for all of them together."""
    ids = [study.id for study in studies]

    def numbers(table: type[InstanceRow | DeliveryRow], *columns: Any) -> Sequence[Any]:
        by = (table.study_id, *columns)
        return session.execute(select(*by, func.count()).where(table.study_id.in_(ids)).group_by(*by)).all()

    latest = select(func.max(ReportRow.id)).where(ReportRow.study_id.in_(ids)).group_by(ReportRow.study_id)
    results = select(ReportRow.study_id, ReportRow.result).where(ReportRow.id.in_(latest))
    result_of = dict(session.execute(results).all())
    instances_of = dict(numbers(InstanceRow))
    deliveries_of: dict[int, dict[str, int]] = {study_id: {} for study_id in ids}
    for study_id, status, outcome, number in numbers(DeliveryRow, DeliveryRow.status, DeliveryRow.outcome):
        word = outcome if outcome is DeliveryOutcome.SUPERSEDED else status
        deliveries_of[study_id][word.value] = deliveries_of[study_id].get(word.value, 0) + number
    waiting = select(DeliveryRow.study_id, func.min(DeliveryRow.scheduled_at)).where(
        DeliveryRow.study_id.in_(ids), DeliveryRow.status == Status.TODO
    )
    next_of = dict(session.execute(waiting.group_by(DeliveryRow.study_id)).all())
    aside = [study.id for study in studies if study.state is StudyState.SET_ASIDE]
    problems = (
        select(JobRow.study_id, JobRow.last_error).where(JobRow.study_id.in_(aside)).order_by(JobRow.id)
    )
    problem_of = dict(session.execute(problems).all())
    return [
        build(
            StudySummary,
            study,
            instances=instances_of.get(study.id, 0),
            result=result_of.get(study.id),
            deliveries=deliveries_of[study.id],
            next_delivery_at=next_of.get(study.id),
            problem=problem_of.get(study.id),
        )
        for study in studies
    ]
