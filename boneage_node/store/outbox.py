"""The outbox: what is to be sent where, in each study's order, until it arrives or is given up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from boneage_node.retry import RetryPolicy
from boneage_node.traffic.document import DocumentForm
from boneage_node.traffic.file import StoredFile

from .database import Transaction
from .leases import LeasedPart, Leases, Transition, release, start_anew
from .part import build
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


class Outbox(LeasedPart):
    """The deliveries."""

    _leases = DELIVERIES

    def destinations(self) -> list[str]:
        """The destinations for which something is due now."""
        return self._due(DeliveryRow.destination)

    def claim(
        self, destination: str, limit: int, lease_seconds: float, policy: RetryPolicy
    ) -> list[DeliveryTask]:
        """Take up to ``limit`` deliveries that are due, or whose lease has run out, oldest first.

        Of one study only the oldest to the same destination is taken, so that its documents arrive in order;
        a dead letter does not hold up what follows. The lease has to be longer than the sending takes.
        """
        there = DeliveryRow.destination == destination
        try:
            with self._transactions.writing() as session:
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

    def delivered(self, delivery_ids: Iterable[int], *, request_commitment: bool = False) -> None:
        """End deliveries that have arrived, even when their leases had run out.

        Args:
            delivery_ids: Which.
            request_commitment: The destination is to be asked whether it keeps them.
        """
        ids = DeliveryRow.id.in_(sorted(set(delivery_ids)))
        with self._transactions.writing() as session:
            for row in DELIVERIES.lock(session, ids, DeliveryRow.status != Status.DONE):
                DELIVERIES.complete(session, row)
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
