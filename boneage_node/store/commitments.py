"""Commitments: whether destinations vouch for what was delivered to them; asked, answered, or given up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from boneage_node.retry import RetryPolicy
from boneage_node.traffic.commitment import (
    CommitmentRequest,
    CommitmentResult,
    FailedReference,
    ReferencedSop,
)

from .leases import Leases, Transition
from .outbox import DELIVERIES
from .part import Part
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
"""Days for which an answer to an earlier request is still understood."""


class CommitmentState(StrEnum):
    """State of a commitment: of a destination to keep what was delivered to it.

    ``REFUSED``: it says that it does not keep the object, which is delivered again. ``UNANSWERED``: given up
    until an operator asks again. ``UNSUPPORTED``: it does not take such requests.
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

_COMMITMENTS = Leases(
    CommitmentRow,
    title=lambda commitment: f"delivery {commitment.delivery_id} to {commitment.destination}",
    events={
        Transition.CLAIMED: EventKind.COMMITMENT_ASKED,
        Transition.DEAD: EventKind.COMMITMENT_UNANSWERED,
        Transition.REOPENED: EventKind.COMMITMENT_RETRIED,
    },
)


@dataclass(frozen=True)
class Reported:
    """Change by an answer: numbers of objects now committed, and of those to send again or given up."""

    destination: str
    committed: int
    refused: int


@dataclass(frozen=True)
class CommitmentDetail:
    """Commitment of a delivery's destination; ``due_at``: when it is asked (again)."""

    state: CommitmentState
    attempts: int
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    last_error: str | None


class Commitments(Part):
    """The commitments."""

    def destinations(self) -> list[str]:
        """The destinations that are to be asked something now."""
        with self._transactions.reading() as session:
            due = select(CommitmentRow.destination).where(_COMMITMENTS.due(self._clock())).distinct()
            return sorted(session.scalars(due))

    def claim(
        self, destination: str, limit: int, transaction_uid: str, policy: RetryPolicy
    ) -> CommitmentRequest | None:
        """Take what is to be asked, and note it as asked before it is: the answer may come at once.

        What was asked for the last time and not answered is given up.

        Args:
            destination: Whom to ask.
            limit: How many objects at most.
            transaction_uid: A new UID.
            policy: How often to ask, and how long each answer is waited for: always the longest wait, for an
                answer that is on its way must not be asked for again.

        Returns:
            What to ask, or None where there is nothing.
        """
        with self._transactions.writing() as session:
            now = self._clock()
            there = CommitmentRow.destination == destination
            _COMMITMENTS.bury_spent(session, now, policy, there)
            rows = [row for (row,) in _COMMITMENTS.claim(session, now, limit, 0.0, policy, there)]
            if not rows:
                return None
            session.add(
                CommitmentTransactionRow(
                    transaction_uid=transaction_uid, destination=destination, asked_at=now
                )
            )
            for row in rows:
                row.transaction_uid = transaction_uid
                row.leased_until = now + policy.longest_wait(row.attempts)
            return CommitmentRequest(
                destination,
                transaction_uid,
                _instances(session, [row.delivery_id for row in rows]),
                study_ids=tuple(sorted({row.study_id for row in rows})),
            )

    def not_asked(self, transaction_uid: str, error: str, policy: RetryPolicy) -> None:
        """Say that a request did not arrive: it is made again when its answer would have been overdue."""
        with self._transactions.writing() as session:
            now = self._clock()
            for row in _asked_in(session, transaction_uid):
                _COMMITMENTS.fail(session, row, error, now, policy, again_at=row.leased_until)

    def unsupported(self, transaction_uid: str, reason: str) -> None:
        """Say that the destination takes no such requests at all."""
        with self._transactions.writing() as session:
            now = self._clock()
            for row in _asked_in(session, transaction_uid):
                row.outcome = CommitmentOutcome.UNSUPPORTED
                _COMMITMENTS.complete(session, row, now, EventKind.COMMITMENT_UNSUPPORTED)
                row.last_error = reason

    def is_answered(self, transaction_uid: str) -> bool:
        """Tell whether nothing that was asked in a request waits for its answer any more."""
        with self._transactions.reading() as session:
            waiting = select(func.count()).where(
                CommitmentRow.transaction_uid == transaction_uid, CommitmentRow.status == Status.DOING
            )
            return session.scalars(waiting).one() == 0

    def reported(self, report: CommitmentResult, policy: RetryPolicy) -> Reported | None:
        """Take an answer in, also one to an earlier request.

        What the destination does not keep is delivered again, as an attempt that failed is. A refusal of an
        earlier request is passed over: the object may have been delivered again since.

        Args:
            report: The answer.
            policy: When what is not kept is delivered again, and when it is a dead letter.

        Returns:
            What it changed, or None where the node made no such request.
        """
        with self._transactions.writing() as session:
            now = self._clock()
            destination = session.scalars(
                select(CommitmentTransactionRow.destination).where(
                    CommitmentTransactionRow.transaction_uid == report.transaction_uid
                )
            ).one_or_none()
            if destination is None:
                return None
            committed = _of_instances(
                session, destination, [referenced.sop_instance_uid for referenced in report.committed]
            )
            for row, _ in committed:
                row.outcome = CommitmentOutcome.COMMITTED
                _COMMITMENTS.complete(session, row, now, EventKind.COMMITMENT_GIVEN)
            reasons = {failure.referenced.sop_instance_uid: failure for failure in report.failed}
            refused_rows = [
                (row, reasons[uid])
                for row, uid in _of_instances(session, destination, list(reasons))
                if row.transaction_uid == report.transaction_uid and row.status == Status.DOING
            ]
            for row, refused in refused_rows:
                _refuse(session, row, refused, now, policy)
            return Reported(destination, len(committed), len(refused_rows))

    def counts(self) -> dict[str, int]:
        """Numbers of commitments by state."""
        with self._transactions.reading() as session:
            state = (CommitmentRow.status, CommitmentRow.outcome)
            rows = session.execute(select(*state, func.count()).group_by(*state)).all()
        found = {_state(status, outcome): count for status, outcome, count in rows}
        return {state.value: found.get(state, 0) for state in CommitmentState}

    def sweep(self) -> None:
        """Forget requests so old that no answer to them is expected any more."""
        with self._transactions.writing() as session:
            latest = self._clock() - timedelta(days=KEPT_DAYS)
            session.execute(
                delete(CommitmentTransactionRow).where(CommitmentTransactionRow.asked_at < latest)
            )


def commitments_of(session: Session, study_id: int) -> dict[int, CommitmentDetail]:
    """The commitments of a study's deliveries, by the delivery's id."""
    rows = session.scalars(select(CommitmentRow).where(CommitmentRow.study_id == study_id))
    return {
        row.delivery_id: CommitmentDetail(
            state=_state(row.status, row.outcome),
            attempts=row.attempts,
            created_at=row.created_at,
            due_at=row.leased_until or (row.scheduled_at if row.status == Status.TODO else None),
            finished_at=row.finished_at,
            last_error=row.last_error,
        )
        for row in rows
    }


def reopen_unanswered(session: Session, study_id: int, now: datetime) -> int:
    """Ask again, with all attempts before them, for a study's commitments that were given up; how many."""
    rows = _COMMITMENTS.lock(session, CommitmentRow.study_id == study_id, CommitmentRow.status == Status.DEAD)
    for row in rows:
        _COMMITMENTS.reopen(session, row, now)
    return len(rows)


def _state(status: Status, outcome: CommitmentOutcome | None) -> CommitmentState:
    if outcome is not None:
        return CommitmentState(outcome.value)
    return _STATES[status]


def _asked_in(session: Session, transaction_uid: str) -> Sequence[CommitmentRow]:
    return _COMMITMENTS.lock(
        session, CommitmentRow.transaction_uid == transaction_uid, CommitmentRow.status == Status.DOING
    )


def _instances(session: Session, delivery_ids: Iterable[int]) -> tuple[ReferencedSop, ...]:
    query = (
        select(DocumentRow.sop_class_uid, DocumentRow.sop_instance_uid)
        .join(DeliveryRow, DeliveryRow.document_id == DocumentRow.id)
        .where(DeliveryRow.id.in_(list(delivery_ids)))
        .order_by(DeliveryRow.id)
    )
    return tuple(
        ReferencedSop(str(sop_class), str(instance)) for sop_class, instance in session.execute(query)
    )


def _of_instances(
    session: Session, destination: str, sop_instance_uids: Sequence[str]
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


def _refuse(
    session: Session, row: CommitmentRow, refused: FailedReference, now: datetime, policy: RetryPolicy
) -> None:
    detail = f": {refused.sentence}"
    if refused.is_lost:
        row.outcome = CommitmentOutcome.REFUSED
        _COMMITMENTS.complete(session, row, now, EventKind.COMMITMENT_REFUSED, detail)
        (delivery,) = DELIVERIES.lock(session, DeliveryRow.id == row.delivery_id)
        error = f"{row.destination} took the object, but says that it does not keep it: {refused.sentence}."
        DELIVERIES.fail(session, delivery, error, now, policy)
    else:  # Asked again when the answer would have been overdue.
        again_at = row.leased_until or now
        _COMMITMENTS.postpone(session, row, again_at, now, EventKind.COMMITMENT_REFUSED, detail)
    row.last_error = refused.sentence
