"""The outbox: what is to be sent where, the newest report of each study, until it arrives or is given up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from boneage_node.retry import RetryPolicy
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile

from .database import Transaction
from .leases import LeasedPart, Leases, Transition, release, start_anew
from .part import build
from .tables import (
    CommitmentRow,
    DeliveryOutcome,
    DeliveryRow,
    DocumentRow,
    EventKind,
    ReportRow,
    Status,
)

_other = aliased(DeliveryRow)
DELIVERIES = Leases(
    DeliveryRow,
    title=lambda delivery: f"document {delivery.document_id} to {delivery.destination}",
    events={
        Transition.POSTPONED: EventKind.DELIVERY_FAILED,
        Transition.DONE: EventKind.DELIVERY_DONE,
        Transition.DEAD: EventKind.DELIVERY_DEAD,
        Transition.REOPENED: EventKind.DELIVERY_RETRIED,
    },
    lost=lambda _: "the process sending it died, or lost its lease",
    may_start=~exists().where(  # Only the first of its study and form to that destination.
        _other.study_id == DeliveryRow.study_id,
        _other.destination == DeliveryRow.destination,
        _other.form == DeliveryRow.form,
        _other.id != DeliveryRow.id,
        or_(
            _other.status == Status.DOING,
            and_(_other.status == Status.TODO, _other.id < DeliveryRow.id),
        ),
    ),
    tasks=select(DeliveryRow, DocumentRow).join(DocumentRow, DocumentRow.id == DeliveryRow.document_id),
    locks=(DeliveryRow,),
)
"""The deliveries, as leased tasks."""

_newer_report, _own_report, _newer_document = aliased(ReportRow), aliased(ReportRow), aliased(DocumentRow)
_OUTDATED = exists().where(
    DocumentRow.id == DeliveryRow.document_id,
    _own_report.id == DocumentRow.report_id,
    _newer_report.study_id == DeliveryRow.study_id,
    _newer_report.id > _own_report.id,
    or_(
        _newer_report.kind != _own_report.kind,
        exists().where(_newer_document.report_id == _newer_report.id),
    ),
)
"""Condition of a delivery whose study has a newer report, one that says otherwise or is sent itself.

A refusal that is not sent, because it was said before, does not keep the first one back.
"""


@dataclass(frozen=True)
class DeliveryTask:
    """A document to be sent to one destination, leased to whoever claimed it.

    Attributes:
        id: Its row.
        study_id: The study's row.
        destination: Where to, as the settings have it.
        form: What kind of file it is.
        file: The file to send.
        sop_class_uid: SOP Class UID of the file; None where it is no DICOM.
        sop_instance_uid: SOP Instance UID of the file; None where it is no DICOM.
        attempts: Which attempt this is, from 1.
    """

    id: int
    study_id: int
    destination: str
    form: DocumentForm
    file: StoredFile
    sop_class_uid: str | None
    sop_instance_uid: str | None
    attempts: int


class Outbox(LeasedPart):
    """The deliveries."""

    _leases = DELIVERIES

    def routes(self) -> list[tuple[str, DocumentForm]]:
        """The destinations, and the forms of document, for which something is due now."""
        with self._transactions.reading() as session:
            due = DELIVERIES.due(session.now)
            rows = session.execute(select(DeliveryRow.destination, DeliveryRow.form).where(due).distinct())
            return sorted((destination, form) for destination, form in rows)

    def undelivered(self) -> dict[str, int]:
        """How many deliveries each destination has not got, dead letters among them."""
        with self._transactions.reading() as session:
            column = DeliveryRow.destination
            query = select(column, func.count()).where(_undelivered()).group_by(column)
            return dict(session.execute(query).all())

    def undelivered_forms(self, destination: str) -> list[DocumentForm]:
        """The forms of document that a destination has not got."""
        with self._transactions.reading() as session:
            there = (DeliveryRow.destination == destination, _undelivered())
            return sorted(session.scalars(select(DeliveryRow.form).where(*there).distinct()))

    def claim(
        self,
        destination: str,
        form: DocumentForm,
        limit: int,
        lease_seconds: float,
        policy: RetryPolicy,
    ) -> list[DeliveryTask]:
        """Take up to ``limit`` deliveries that are due, or whose lease has run out, oldest first.

        What a newer report of its study has overtaken is not sent any more: it ends here. Of one study one
        document of a form is taken at a time, so that none arrives after a newer one; those of other forms
        do not wait for it. The lease has to be longer than the sending takes, or be prolonged.
        """
        there = and_(DeliveryRow.destination == destination, DeliveryRow.form == form)
        try:
            with self._transactions.writing() as session:
                supersede(session, there)
                DELIVERIES.bury_spent(session, policy, there)
                return [
                    build(DeliveryTask, delivery, document, file=self._spool.file(document.file_name))
                    for delivery, document in DELIVERIES.claim(session, limit, lease_seconds, policy, there)
                ]
        except IntegrityError:
            # PostgreSQL: an earlier delivery of the study, a dead letter when we looked, was retried and
            # claimed before we committed. The unique index noticed; the next claim sees it.
            return []

    def extend(self, delivery_ids: Iterable[int], lease_seconds: float) -> None:
        """Prolong the leases of deliveries that are still being sent."""
        with self._transactions.writing() as session:
            DELIVERIES.extend(session, delivery_ids, lease_seconds)

    def release(self, delivery_ids: Iterable[int]) -> None:
        """Give back deliveries that were claimed and not tried; it does not count as an attempt."""
        with self._transactions.writing() as session:
            for row in DELIVERIES.held(session, delivery_ids):
                release(row)

    def delivered(
        self,
        delivery_id: int,
        *,
        warning: str | None = None,
        remark: str | None = None,
        request_commitment: bool = False,
    ) -> None:
        """End a delivery that has arrived, even when its lease had run out.

        Args:
            delivery_id: Which.
            warning: What the destination had to say about what it took, in words that may be in the history.
            remark: The same in its own words, which may not.
            request_commitment: The destination is to be asked whether it keeps it.
        """
        arrived = (DeliveryOutcome.DELIVERED, DeliveryOutcome.WARNED)
        unknown = or_(DeliveryRow.outcome.is_(None), DeliveryRow.outcome.not_in(arrived))
        with self._transactions.writing() as session:
            for row in DELIVERIES.lock(session, DeliveryRow.id == delivery_id, unknown):
                if warning is None:
                    row.outcome = DeliveryOutcome.DELIVERED
                    DELIVERIES.complete(session, row)
                else:
                    row.outcome = DeliveryOutcome.WARNED
                    detail = f", attempt {row.attempts}: {warning}"
                    DELIVERIES.complete(session, row, EventKind.DELIVERY_WARNED, detail)
                    row.last_error = f"{warning} {remark}" if remark else warning
                if request_commitment:
                    _request_commitment(session, row)

    def failed(self, delivery_id: int, error: str, policy: RetryPolicy, *, permanent: bool = False) -> Status:
        """Try a delivery again later, or make it a dead letter, as `Leases.fail`; returns its status now.

        Nothing changes when the lease ran out and somebody else has dealt with it.
        """
        with self._transactions.writing() as session:
            for row in DELIVERIES.held(session, [delivery_id]):
                DELIVERIES.fail(session, row, error, policy, permanent=permanent)
            return session.get_one(DeliveryRow, delivery_id).status


def _undelivered() -> ColumnElement[bool]:
    """Condition of a delivery that waits, or is a dead letter."""
    return DeliveryRow.status.in_((Status.TODO, Status.DEAD))


def supersede(session: Transaction, *conditions: ColumnElement[bool]) -> int:
    """End deliveries, waiting, lost or dead, that a newer report of the study has overtaken; how many."""
    stale = or_(
        _undelivered(),
        and_(DeliveryRow.status == Status.DOING, DeliveryRow.leased_until <= session.now),
    )
    rows = DELIVERIES.lock(session, stale, _OUTDATED, *conditions)
    for row in rows:
        row.outcome = DeliveryOutcome.SUPERSEDED
        detail = " is not sent any more: the study has a newer report"
        DELIVERIES.complete(session, row, EventKind.DELIVERY_SUPERSEDED, detail)
    return len(rows)


def retry(session: Transaction, *conditions: ColumnElement[bool]) -> int:
    """Send now what is a dead letter or waits for its next attempt; returns how many deliveries."""
    supersede(session, *conditions)
    return len(DELIVERIES.reopen(session, DELIVERIES.stuck(session.now), *conditions))


def send_again(session: Transaction, *conditions: ColumnElement[bool]) -> int:
    """Send once more what was delivered, of the newest report of each study; returns how many deliveries."""
    arrived = DeliveryRow.outcome.in_((DeliveryOutcome.DELIVERED, DeliveryOutcome.WARNED))
    rows = DELIVERIES.reopen(session, arrived, ~_OUTDATED, *conditions)
    for row in rows:
        row.outcome = None
    return len(rows)


def redirect(session: Transaction, old: str, new: str) -> int:
    """Send to another destination what the old one has not got; returns how many deliveries.

    What goes to the other one anyhow, or has arrived there, is not sent there twice.
    """
    if old == new:
        return 0
    supersede(session, DeliveryRow.destination == old)
    rows = DELIVERIES.lock(session, DeliveryRow.destination == old, _undelivered())
    document_ids = [row.document_id for row in rows]
    there = {
        row.document_id: row
        for row in DELIVERIES.lock(
            session, DeliveryRow.destination == new, DeliveryRow.document_id.in_(document_ids)
        )
    }
    to_send = []
    for row in rows:
        other = there.get(row.document_id)
        if other is None:
            _move(session, row, new)
            to_send.append(row.id)
            continue
        row.outcome = DeliveryOutcome.SUPERSEDED
        detail = f" is not sent any more: it goes to {new}"
        DELIVERIES.complete(session, row, EventKind.DELIVERY_SUPERSEDED, detail)
        if other.status == Status.DEAD or other.outcome == DeliveryOutcome.SUPERSEDED:
            other.outcome = None  # or nobody would get it
            to_send.append(other.id)
    session.flush()
    return len(DELIVERIES.reopen(session, DeliveryRow.id.in_(to_send)))


def _move(session: Transaction, delivery: DeliveryRow, destination: str) -> None:
    delivery.destination = destination
    # What the old one was asked of an earlier arrival is of no use, and the new one has yet to get it.
    session.execute(delete(CommitmentRow).where(CommitmentRow.delivery_id == delivery.id))


def not_kept(session: Transaction, delivery_id: int, error: str, policy: RetryPolicy) -> None:
    """Send once more, as after a failure, what the destination took and says that it does not keep."""
    for row in DELIVERIES.lock(session, DeliveryRow.id == delivery_id):
        row.outcome = None
        DELIVERIES.fail(session, row, error, policy)


def _request_commitment(session: Transaction, delivery: DeliveryRow) -> None:
    """Let the destination be asked whether it keeps what has just arrived, also where it arrived before."""
    commitment = session.scalars(
        select(CommitmentRow).where(CommitmentRow.delivery_id == delivery.id).with_for_update()
    ).one_or_none()
    if commitment is None:
        commitment = CommitmentRow(
            delivery_id=delivery.id,
            study_id=delivery.study_id,
            destination=delivery.destination,
            created_at=session.now,
        )
        session.add(commitment)
    commitment.outcome = None
    start_anew(commitment, session.now)
