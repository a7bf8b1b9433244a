"""The outbox: what is to be sent where, in each study's order, until it arrives or is given up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, exists, or_, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from boneage_node.retry import RetryPolicy
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile

from .leases import Leases, Transition, start_anew
from .part import Part
from .tables import CommitmentRow, DeliveryRow, DocumentRow, EventKind, Status

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
    may_start=~exists().where(  # Only the first of its study to that destination.
        _other.study_id == DeliveryRow.study_id,
        _other.destination == DeliveryRow.destination,
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


class Outbox(Part):
    """The deliveries."""

    def destinations(self) -> list[str]:
        """The destinations for which something is due now."""
        with self._transactions.reading() as session:
            due = select(DeliveryRow.destination).where(DELIVERIES.due(self._clock())).distinct()
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
                there = DeliveryRow.destination == destination if destination is not None else true()
                DELIVERIES.bury_spent(session, now, policy, there)
                rows = DELIVERIES.claim(session, now, limit, lease_seconds, policy, there)
                return [self._task(delivery, document) for delivery, document in rows]
        except IntegrityError:
            # PostgreSQL: an earlier delivery of the study, a dead letter when we looked, was retried and
            # claimed before we committed. The unique index noticed; the next claim sees it.
            return []

    def extend(self, delivery_ids: Iterable[int], lease_seconds: float) -> None:
        """Prolong the leases of deliveries that are still being sent."""
        with self._transactions.writing() as session:
            DELIVERIES.extend(session, delivery_ids, self._clock(), lease_seconds)

    def release(self, delivery_ids: Iterable[int]) -> None:
        """Give back deliveries that were claimed and not tried; it does not count as an attempt."""
        with self._transactions.writing() as session:
            for row in DELIVERIES.held(session, delivery_ids):
                DELIVERIES.release(session, row, self._clock())

    def delivered(self, delivery_ids: Iterable[int], *, request_commitment: bool = False) -> None:
        """Say that these have arrived; true even when the lease had run out.

        Args:
            delivery_ids: Which.
            request_commitment: The destination is to be asked whether it keeps them.
        """
        with self._transactions.writing() as session:
            now = self._clock()
            ids = DeliveryRow.id.in_(sorted(set(delivery_ids)))
            for row in DELIVERIES.lock(session, ids, DeliveryRow.status != Status.DONE):
                DELIVERIES.complete(session, row, now)
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
            rows = DELIVERIES.held(session, [delivery_id])
            if not rows:  # The lease ran out, and somebody else has dealt with it.
                return session.scalars(select(DeliveryRow.status).where(DeliveryRow.id == delivery_id)).one()
            (row,) = rows
            DELIVERIES.fail(session, row, error, now, policy, permanent=permanent)
            return row.status

    def retry(self, delivery_ids: Iterable[int] | None = None) -> int:
        """Send dead letters again, with all their attempts before them.

        Args:
            delivery_ids: Which; None for all.

        Returns:
            How many were dead letters and are to be sent again.
        """
        with self._transactions.writing() as session:
            chosen = true() if delivery_ids is None else DeliveryRow.id.in_(sorted(set(delivery_ids)))
            rows = DELIVERIES.lock(session, DeliveryRow.status == Status.DEAD, chosen)
            for row in rows:
                DELIVERIES.reopen(session, row, self._clock())
            return len(rows)

    def counts(self) -> dict[str, int]:
        """Numbers of deliveries by status."""
        with self._transactions.reading() as session:
            return DELIVERIES.counts(session)

    def _task(self, delivery: DeliveryRow, document: DocumentRow) -> DeliveryTask:
        return DeliveryTask(
            id=delivery.id,
            study_id=delivery.study_id,
            destination=delivery.destination,
            form=document.form,
            file=self._spool.file(document.file_name),
            sop_class_uid=document.sop_class_uid,
            sop_instance_uid=document.sop_instance_uid,
            attempts=delivery.attempts,
        )


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
    commitment.outcome = None
    start_anew(commitment, now)
