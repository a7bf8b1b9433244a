"""The outbox: what is to be sent where, in each study's order, until it arrives or is given up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from boneage_node.retry import RetryPolicy
from boneage_node.spool.folder import Spool
from boneage_node.traffic.document import DocumentForm

from .database import Transactions
from .history import record
from .tables import CommitmentRow, CommitmentState, DeliveryRow, DocumentRow, EventKind, Status


@dataclass(frozen=True)
class DeliveryTask:
    """A document to be sent to one destination, leased to whoever claimed it.

    Attributes:
        id: Its row.
        study_id: The study's row.
        destination: Where to, as the settings have it.
        form: What kind of file it is.
        path: The file to send.
        sop_class_uid: SOP Class UID of the file; None where it is no DICOM.
        sop_instance_uid: SOP Instance UID of the file; None where it is no DICOM.
        attempts: Which attempt this is, from 1.
    """

    id: int
    study_id: int
    destination: str
    form: DocumentForm
    path: Path
    sop_class_uid: str | None
    sop_instance_uid: str | None
    attempts: int


class Outbox:
    """The deliveries.

    Args:
        transactions: The database.
        spool: The files.
        clock: The time now, in UTC.
    """

    def __init__(self, transactions: Transactions, spool: Spool, clock: Callable[[], datetime]) -> None:
        self._transactions = transactions
        self._spool = spool
        self._clock = clock

    def destinations(self) -> list[str]:
        """The destinations for which something is due now."""
        with self._transactions.reading() as session:
            due = select(DeliveryRow.destination).where(_claimable(self._clock())).distinct()
            return sorted(session.scalars(due))

    def claim(
        self, destination: str | None, limit: int, lease_seconds: float, policy: RetryPolicy
    ) -> list[DeliveryTask]:
        """Take up to ``limit`` deliveries that are due, or whose lease has run out, oldest first.

        Of one study only the oldest to the same destination is taken, so that its documents arrive in order;
        a dead letter does not hold up what follows.

        Args:
            destination: Where to; None for all.
            limit: How many at most.
            lease_seconds: How long nobody else may claim them; longer than the sending takes.
            policy: A delivery whose lease has run out in its last attempt becomes a dead letter.
        """
        try:
            with self._transactions.writing() as session:
                now = self._clock()
                self._bury_expired(session, now, policy)
                query = (
                    select(DeliveryRow, DocumentRow)
                    .join(DocumentRow, DocumentRow.id == DeliveryRow.document_id)
                    .where(_claimable(now))
                    .order_by(DeliveryRow.scheduled_at, DeliveryRow.id)
                    .limit(limit)
                    .with_for_update(skip_locked=True, of=DeliveryRow)
                )
                if destination is not None:
                    query = query.where(DeliveryRow.destination == destination)
                rows = session.execute(query).all()
                for delivery, _ in rows:
                    delivery.status = Status.DOING
                    delivery.attempts += 1
                    delivery.leased_until = now + timedelta(seconds=lease_seconds)
                return [self._task(delivery, document) for delivery, document in rows]
        except IntegrityError:
            # PostgreSQL: an earlier delivery of the study, a dead letter when we looked, was retried and
            # claimed before we committed. The unique index noticed; the next claim sees it.
            return []

    def extend(self, delivery_ids: Iterable[int], lease_seconds: float) -> None:
        """Prolong the leases of deliveries that are still being sent."""
        with self._transactions.writing() as session:
            for row in _locked(session, delivery_ids, Status.DOING):
                row.leased_until = self._clock() + timedelta(seconds=lease_seconds)

    def release(self, delivery_ids: Iterable[int]) -> None:
        """Give back deliveries that were claimed and not tried; it does not count as an attempt."""
        with self._transactions.writing() as session:
            for row in _locked(session, delivery_ids, Status.DOING):
                row.status = Status.TODO
                row.attempts -= 1
                row.leased_until = None

    def delivered(self, delivery_ids: Iterable[int], *, request_commitment: bool = False) -> None:
        """Say that these have arrived; true even when the lease had run out.

        Args:
            delivery_ids: Which.
            request_commitment: The destination is to be asked whether it keeps them.
        """
        with self._transactions.writing() as session:
            now = self._clock()
            for row in _locked(session, delivery_ids, Status.TODO, Status.DOING, Status.DEAD):
                row.status = Status.DONE
                row.finished_at = now
                row.leased_until = None
                row.last_error = None
                detail = f"document {row.document_id} to {row.destination}, attempt {row.attempts}"
                record(session, EventKind.DELIVERY_DONE, now, row.study_id, detail)
                if request_commitment:
                    _ask_commitment(session, row, now)

    def failed(self, delivery_id: int, error: str, policy: RetryPolicy, *, permanent: bool = False) -> Status:
        """Say that an attempt failed: the delivery is tried again later, or becomes a dead letter.

        Args:
            delivery_id: Which.
            error: What went wrong; kept with the delivery, not in the history.
            policy: When it is tried again, and after how many attempts it is a dead letter.
            permanent: The destination has refused the object itself: trying again is of no use.

        Returns:
            The delivery's status now; ``Status.DONE`` when somebody else has delivered it meanwhile.
        """
        with self._transactions.writing() as session:
            now = self._clock()
            rows = _locked(session, [delivery_id], Status.DOING)
            if not rows:  # The lease ran out, and somebody else has dealt with it.
                return session.scalars(select(DeliveryRow.status).where(DeliveryRow.id == delivery_id)).one()
            (row,) = rows
            fail(session, row, error, now, policy, permanent=permanent)
            return row.status

    def retry(self, delivery_ids: Iterable[int] | None = None) -> int:
        """Send dead letters again, with all their attempts before them.

        Args:
            delivery_ids: Which; None for all.

        Returns:
            How many were dead letters and are to be sent again.
        """
        with self._transactions.writing() as session:
            query = select(DeliveryRow).where(DeliveryRow.status == Status.DEAD)
            if delivery_ids is not None:
                query = query.where(DeliveryRow.id.in_(sorted(set(delivery_ids))))
            rows = session.scalars(query.order_by(DeliveryRow.id).with_for_update()).all()
            for row in rows:
                reopen(session, row, self._clock())
            return len(rows)

    def counts(self) -> dict[str, int]:
        """How many deliveries there are of each status."""
        with self._transactions.reading() as session:
            query = select(DeliveryRow.status, func.count()).group_by(DeliveryRow.status)
            found = dict(session.execute(query).all())
        return {status.value: found.get(status, 0) for status in Status}

    def _bury_expired(self, session: Session, now: datetime, policy: RetryPolicy) -> None:
        expired = (
            select(DeliveryRow)
            .where(
                DeliveryRow.status == Status.DOING,
                DeliveryRow.leased_until < now,
                DeliveryRow.attempts >= policy.max_attempts,
            )
            .with_for_update(skip_locked=True)
        )
        for row in session.scalars(expired).all():
            row.last_error = "the process sending it died, or lost its lease"
            _bury(session, row, now)
        session.flush()

    def _task(self, delivery: DeliveryRow, document: DocumentRow) -> DeliveryTask:
        return DeliveryTask(
            id=delivery.id,
            study_id=delivery.study_id,
            destination=delivery.destination,
            form=document.form,
            path=self._spool.path(document.file_name),
            sop_class_uid=document.sop_class_uid,
            sop_instance_uid=document.sop_instance_uid,
            attempts=delivery.attempts,
        )


def reopen(session: Session, row: DeliveryRow, now: datetime) -> None:
    """Make a dead letter, whose row is locked, a delivery to do."""
    row.status = Status.TODO
    row.attempts = 0
    row.scheduled_at = now
    row.finished_at = None
    detail = f"document {row.document_id} to {row.destination}"
    record(session, EventKind.DELIVERY_RETRIED, now, row.study_id, detail)


def fail(
    session: Session,
    row: DeliveryRow,
    error: str,
    now: datetime,
    policy: RetryPolicy,
    *,
    permanent: bool = False,
) -> None:
    """Make a delivery, whose row is locked, one to try again later or a dead letter."""
    row.last_error = error
    row.leased_until = None
    if permanent or policy.is_last(row.attempts):
        _bury(session, row, now)
    else:
        row.status = Status.TODO
        row.scheduled_at = now + policy.wait(row.attempts)
        row.finished_at = None
        attempt = f"attempt {row.attempts} of {policy.max_attempts}"
        detail = f"document {row.document_id} to {row.destination}, {attempt}"
        record(session, EventKind.DELIVERY_FAILED, now, row.study_id, detail)


def _ask_commitment(session: Session, delivery: DeliveryRow, now: datetime) -> None:
    """Let the destination be asked whether it keeps what has just arrived, also where it arrived before."""
    commitment = session.scalars(
        select(CommitmentRow).where(CommitmentRow.delivery_id == delivery.id).with_for_update()
    ).one_or_none()
    if commitment is None:
        commitment = CommitmentRow(
            delivery_id=delivery.id,
            study_id=delivery.study_id,
            destination=delivery.destination,
            created_at=now,
        )
        session.add(commitment)
    commitment.state = CommitmentState.TO_ASK
    commitment.attempts = 0
    commitment.due_at = now
    commitment.finished_at = None


def _claimable(now: datetime) -> Any:
    """Condition for a delivery to be claimed: due, or its lease has run out, and first of its study."""
    other = aliased(DeliveryRow)
    before_it = exists().where(
        other.study_id == DeliveryRow.study_id,
        other.destination == DeliveryRow.destination,
        other.id != DeliveryRow.id,
        or_(other.status == Status.DOING, and_(other.status == Status.TODO, other.id < DeliveryRow.id)),
    )
    due = and_(DeliveryRow.status == Status.TODO, DeliveryRow.scheduled_at <= now, ~before_it)
    return or_(due, and_(DeliveryRow.status == Status.DOING, DeliveryRow.leased_until < now))


def _locked(session: Session, delivery_ids: Iterable[int], *statuses: Status) -> list[DeliveryRow]:
    """Deliveries of these statuses, locked in one order for all."""
    return list(
        session.scalars(
            select(DeliveryRow)
            .where(DeliveryRow.id.in_(sorted(set(delivery_ids))), DeliveryRow.status.in_(statuses))
            .order_by(DeliveryRow.id)
            .with_for_update()
        )
    )


def _bury(session: Session, row: DeliveryRow, now: datetime) -> None:
    """Make a delivery a dead letter."""
    row.status = Status.DEAD
    row.finished_at = now
    row.leased_until = None
    detail = f"document {row.document_id} to {row.destination} was given up after attempt {row.attempts}"
    record(session, EventKind.DELIVERY_DEAD, now, row.study_id, detail)
