"""Storage commitment of destinations: requested for what was delivered, given, refused, or given up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, exists, select

from boneage_node.retry import RetryPolicy
from boneage_node.traffic.commitment import (
    CommitmentRequest,
    CommitmentResult,
    FailedReference,
    ReferencedSop,
)

from .database import Transaction
from .leases import LeasedPart, Leases, Transition
from .outbox import not_kept
from .part import build
from .tables import (
    CommitmentOutcome,
    CommitmentRow,
    CommitmentTransactionRow,
    DeliveryRow,
    DocumentRow,
    EventKind,
    Status,
)

KEPT_DAYS = 90
"""Days for which the result of an earlier request is still understood."""


class CommitmentState(StrEnum):
    """State of a commitment: of a destination to keep what was delivered to it.

    ``REFUSED``: it says that it does not keep the object, which is delivered again. ``UNANSWERED``: given up
    until an operator has it requested again. ``UNSUPPORTED``: it does not take such requests.
    """

    TO_ASK = "to_ask"
    ASKED = "asked"
    COMMITTED = "committed"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    UNSUPPORTED = "unsupported"


_STATES = {
    Status.TODO: CommitmentState.TO_ASK,
    Status.DOING: CommitmentState.ASKED,
    Status.DEAD: CommitmentState.UNANSWERED,
}

COMMITMENTS = Leases(
    CommitmentRow,
    title=lambda commitment: f"delivery {commitment.delivery_id} to {commitment.destination}",
    events={
        Transition.CLAIMED: EventKind.COMMITMENT_ASKED,
        Transition.DEAD: EventKind.COMMITMENT_UNANSWERED,
        Transition.REOPENED: EventKind.COMMITMENT_RETRIED,
    },
)
"""The commitments, as leased tasks."""


@dataclass(frozen=True)
class Reported:
    """Change by a result: numbers of objects now committed, and of those to send again or given up."""

    destination: str
    committed: int
    refused: int


@dataclass(frozen=True)
class CommitmentDetail:
    """Commitment of a delivery's destination; ``due_at``: when it is requested (again)."""

    state: CommitmentState
    attempts: int
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    last_error: str | None


class Commitments(LeasedPart):
    """The commitments."""

    _leases = COMMITMENTS

    def destinations(self) -> list[str]:
        """The destinations of which commitment is to be requested now."""
        return self._due(CommitmentRow.destination)

    def claim(
        self, destination: str, limit: int, transaction_uid: str, policy: RetryPolicy
    ) -> CommitmentRequest | None:
        """Make a request, and note it before it is sent: the result may come at once.

        What was requested for the last time without a result is given up.

        Args:
            destination: The destination.
            limit: How many objects at most.
            transaction_uid: A new UID.
            policy: How often to request, and how long each result is waited for: always the longest wait,
                for nothing is requested again while its result is on its way.

        Returns:
            The request, or None where nothing is due.
        """
        there = CommitmentRow.destination == destination
        with self._transactions.writing() as session:
            COMMITMENTS.bury_spent(session, policy, there)
            rows = [row for (row,) in COMMITMENTS.claim(session, limit, 0.0, policy, there)]
            if not rows:
                return None
            session.add(
                CommitmentTransactionRow(
                    transaction_uid=transaction_uid, destination=destination, asked_at=session.now
                )
            )
            for row in rows:
                row.transaction_uid = transaction_uid
                row.leased_until = session.now + policy.longest_wait(row.attempts)
            return CommitmentRequest(
                destination,
                transaction_uid,
                _instances(session, [row.delivery_id for row in rows]),
                study_ids=tuple(sorted({row.study_id for row in rows})),
            )

    def not_requested(self, transaction_uid: str, error: str, policy: RetryPolicy) -> None:
        """Make a request that did not arrive again when its result would have been overdue."""
        with self._transactions.writing() as session:
            for row in COMMITMENTS.lock(session, *_requested_in(transaction_uid)):
                COMMITMENTS.fail(session, row, error, policy, again_at=row.leased_until)

    def unsupported(self, transaction_uid: str, reason: str) -> None:
        """Give up a request, because the destination takes no such requests at all."""
        with self._transactions.writing() as session:
            for row in COMMITMENTS.lock(session, *_requested_in(transaction_uid)):
                row.outcome = CommitmentOutcome.UNSUPPORTED
                COMMITMENTS.complete(session, row, EventKind.COMMITMENT_UNSUPPORTED)
                row.last_error = reason

    def has_result(self, transaction_uid: str) -> bool:
        """Tell whether no object of a request waits for its result any more."""
        with self._transactions.reading() as session:
            return not session.scalar(select(exists().where(*_requested_in(transaction_uid))))

    def reported(self, report: CommitmentResult, policy: RetryPolicy) -> Reported | None:
        """Take a result in, also that of an earlier request.

        What the destination does not keep is delivered again, as an attempt that failed is. A refusal of an
        earlier request is passed over: the object may have been delivered again since.

        Args:
            report: The result.
            policy: When what is not kept is delivered again, and when it is a dead letter.

        Returns:
            What it changed, or None where the node made no such request.
        """
        requests = CommitmentTransactionRow
        with self._transactions.writing() as session:
            destination = session.scalar(
                select(requests.destination).where(requests.transaction_uid == report.transaction_uid)
            )
            if destination is None:
                return None
            kept = [referenced.sop_instance_uid for referenced in report.committed]
            committed = _uncommitted(session, destination, kept)
            for row, _ in committed:
                row.outcome = CommitmentOutcome.COMMITTED
                COMMITMENTS.complete(session, row, EventKind.COMMITMENT_GIVEN)
            reasons = {failure.referenced.sop_instance_uid: failure for failure in report.failed}
            refused = [
                (row, reasons[uid])
                for row, uid in _uncommitted(session, destination, list(reasons))
                if row.transaction_uid == report.transaction_uid and row.status == Status.DOING
            ]
            for row, reason in refused:
                _refuse(session, row, reason, policy)
            return Reported(destination, len(committed), len(refused))

    def counts(self) -> dict[str, int]:
        """Numbers of commitments by state."""
        return self._count(CommitmentState, CommitmentRow.status, CommitmentRow.outcome, word=_state)

    def sweep(self) -> None:
        """Forget requests so old that no result of them is expected any more."""
        with self._transactions.writing() as session:
            latest = session.now - timedelta(days=KEPT_DAYS)
            session.execute(
                delete(CommitmentTransactionRow).where(CommitmentTransactionRow.asked_at < latest)
            )


def commitments_of(session: Transaction, study_id: int) -> dict[int, CommitmentDetail]:
    """The commitments of a study's deliveries, by the delivery's id."""
    return {
        row.delivery_id: build(
            CommitmentDetail,
            row,
            state=_state(row.status, row.outcome),
            due_at=row.leased_until or (row.scheduled_at if row.status == Status.TODO else None),
        )
        for row in session.scalars(select(CommitmentRow).where(CommitmentRow.study_id == study_id))
    }


def _state(status: Status, outcome: CommitmentOutcome | None) -> CommitmentState:
    return CommitmentState(outcome.value) if outcome else _STATES[status]


def _requested_in(transaction_uid: str) -> tuple[ColumnElement[bool], ...]:
    return CommitmentRow.transaction_uid == transaction_uid, CommitmentRow.status == Status.DOING


def _instances(session: Transaction, delivery_ids: Iterable[int]) -> tuple[ReferencedSop, ...]:
    query = (
        select(DocumentRow.sop_class_uid, DocumentRow.sop_instance_uid)
        .join(DeliveryRow, DeliveryRow.document_id == DocumentRow.id)
        .where(DeliveryRow.id.in_(list(delivery_ids)))
        .order_by(DeliveryRow.id)
    )
    return tuple(ReferencedSop(*map(str, row)) for row in session.execute(query))


def _uncommitted(
    session: Transaction, destination: str, sop_instance_uids: Sequence[str]
) -> list[tuple[CommitmentRow, str]]:
    """The commitments of these objects at a destination that are not committed yet, locked."""
    query = (
        select(CommitmentRow, DocumentRow.sop_instance_uid)
        .join(DeliveryRow, DeliveryRow.id == CommitmentRow.delivery_id)
        .join(DocumentRow, DocumentRow.id == DeliveryRow.document_id)
        .where(
            CommitmentRow.destination == destination,
            CommitmentRow.outcome.is_distinct_from(CommitmentOutcome.COMMITTED),
            DeliveryRow.status == Status.DONE,
            DocumentRow.sop_instance_uid.in_(sop_instance_uids),
        )
        .order_by(CommitmentRow.id)
        .with_for_update(of=CommitmentRow)
    )
    return [(row, str(uid)) for row, uid in session.execute(query)]


def _refuse(session: Transaction, row: CommitmentRow, refused: FailedReference, policy: RetryPolicy) -> None:
    detail = f": {refused.sentence}"
    if refused.is_lost:
        row.outcome = CommitmentOutcome.REFUSED
        COMMITMENTS.complete(session, row, EventKind.COMMITMENT_REFUSED, detail)
        error = f"{row.destination} took the object, but says that it does not keep it: {refused.sentence}."
        not_kept(session, row.delivery_id, error, policy)
    else:  # Requested again when the result would have been overdue.
        again_at = row.leased_until or session.now
        COMMITMENTS.postpone(session, row, again_at, EventKind.COMMITMENT_REFUSED, detail)
    row.last_error = refused.sentence
