"""Commitments: whether destinations vouch for what was delivered to them; asked, answered, or given up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from boneage_node.retry import RetryPolicy
from boneage_node.traffic.commitment import (
    CommitmentRequest,
    CommitmentResult,
    FailedReference,
    ReferencedSop,
)

from .database import Transactions
from .history import record
from .outbox import fail
from .tables import (
    CommitmentRow,
    CommitmentState,
    CommitmentTransactionRow,
    DeliveryRow,
    DocumentRow,
    EventKind,
    Status,
)

KEPT_DAYS = 90
"""How long an answer to an earlier request is still understood."""


@dataclass(frozen=True)
class Reported:
    """What an answer changed: how many objects are committed now, and how many are sent again or given up."""

    destination: str
    committed: int
    refused: int


@dataclass(frozen=True)
class CommitmentDetail:
    """Whether the destination of a delivery vouches for the object; ``due_at``: when it is asked (again)."""

    state: CommitmentState
    attempts: int
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    last_error: str | None


class Commitments:
    """The commitments.

    Args:
        transactions: The database.
        clock: The time now, in UTC.
    """

    def __init__(self, transactions: Transactions, clock: Callable[[], datetime]) -> None:
        self._transactions = transactions
        self._clock = clock

    def destinations(self) -> list[str]:
        """The destinations that are to be asked something now."""
        with self._transactions.reading() as session:
            due = select(CommitmentRow.destination).where(CommitmentRow.due_at <= self._clock()).distinct()
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
            due = and_(CommitmentRow.destination == destination, CommitmentRow.due_at <= now)
            for row in _locked(session, due, CommitmentRow.attempts >= policy.max_attempts):
                _give_up(session, row, now)
            rows = _locked(session, due, CommitmentRow.attempts < policy.max_attempts, limit=limit)
            if not rows:
                return None
            session.add(
                CommitmentTransactionRow(
                    transaction_uid=transaction_uid, destination=destination, asked_at=now
                )
            )
            for row in rows:
                row.state = CommitmentState.ASKED
                row.transaction_uid = transaction_uid
                row.attempts += 1
                row.due_at = now + policy.longest_wait(row.attempts)
                detail = f"{_named(row)}, attempt {row.attempts} of {policy.max_attempts}"
                record(session, EventKind.COMMITMENT_ASKED, now, row.study_id, detail)
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
                row.state = CommitmentState.TO_ASK
                row.last_error = error
                if policy.is_last(row.attempts):
                    _give_up(session, row, now)

    def unsupported(self, transaction_uid: str, reason: str) -> None:
        """Say that the destination takes no such requests at all."""
        with self._transactions.writing() as session:
            now = self._clock()
            for row in _asked_in(session, transaction_uid):
                _end(row, CommitmentState.UNSUPPORTED, now)
                row.last_error = reason
                record(session, EventKind.COMMITMENT_UNSUPPORTED, now, row.study_id, _named(row))

    def is_answered(self, transaction_uid: str) -> bool:
        """Whether nothing that was asked in a request waits for its answer any more."""
        with self._transactions.reading() as session:
            waiting = select(func.count()).where(
                CommitmentRow.transaction_uid == transaction_uid, CommitmentRow.state == CommitmentState.ASKED
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
                _end(row, CommitmentState.COMMITTED, now)
                row.last_error = None
                record(session, EventKind.COMMITMENT_GIVEN, now, row.study_id, _named(row))
            reasons = {failure.referenced.sop_instance_uid: failure for failure in report.failed}
            refused_rows = [
                (row, reasons[uid])
                for row, uid in _of_instances(session, destination, list(reasons))
                if row.transaction_uid == report.transaction_uid and row.state == CommitmentState.ASKED
            ]
            for row, refused in refused_rows:
                _refuse(session, row, refused, now, policy)
            return Reported(destination, len(committed), len(refused_rows))

    def counts(self) -> dict[str, int]:
        """How many commitments there are in each state."""
        with self._transactions.reading() as session:
            query = select(CommitmentRow.state, func.count()).group_by(CommitmentRow.state)
            found = dict(session.execute(query).all())
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
    names = [field.name for field in fields(CommitmentDetail)]
    return {row.delivery_id: CommitmentDetail(**{name: getattr(row, name) for name in names}) for row in rows}


def reopen_unanswered(session: Session, study_id: int, now: datetime) -> int:
    """Ask again, with all attempts before them, for a study's commitments that were given up; how many."""
    given_up = CommitmentRow.state == CommitmentState.UNANSWERED
    rows = _locked(session, CommitmentRow.study_id == study_id, given_up)
    for row in rows:
        row.state = CommitmentState.TO_ASK
        row.attempts = 0
        row.due_at = now
        row.finished_at = None
        record(session, EventKind.COMMITMENT_RETRIED, now, row.study_id, _named(row))
    return len(rows)


def _locked(
    session: Session, *conditions: ColumnElement[bool], limit: int | None = None
) -> Sequence[CommitmentRow]:
    """Commitments, locked in one order for all."""
    query = select(CommitmentRow).where(*conditions).order_by(CommitmentRow.id).limit(limit)
    return session.scalars(query.with_for_update()).all()


def _asked_in(session: Session, transaction_uid: str) -> Sequence[CommitmentRow]:
    return _locked(
        session,
        CommitmentRow.transaction_uid == transaction_uid,
        CommitmentRow.state == CommitmentState.ASKED,
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
            CommitmentRow.state != CommitmentState.COMMITTED,
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
    row.last_error = refused.sentence
    record(session, EventKind.COMMITMENT_REFUSED, now, row.study_id, f"{_named(row)}: {refused.sentence}")
    if not refused.is_lost:  # asked again when the answer would have been overdue
        row.state = CommitmentState.TO_ASK
        return
    _end(row, CommitmentState.REFUSED, now)
    delivery = session.scalars(
        select(DeliveryRow).where(DeliveryRow.id == row.delivery_id).with_for_update()
    ).one()
    error = f"{row.destination} took the object, but says that it does not keep it: {refused.sentence}."
    fail(session, delivery, error, now, policy)


def _give_up(session: Session, row: CommitmentRow, now: datetime) -> None:
    _end(row, CommitmentState.UNANSWERED, now)
    detail = f"{_named(row)} was given up after attempt {row.attempts}"
    record(session, EventKind.COMMITMENT_UNANSWERED, now, row.study_id, detail)


def _end(row: CommitmentRow, state: CommitmentState, now: datetime) -> None:
    row.state = state
    row.due_at = None
    row.finished_at = now


def _named(row: CommitmentRow) -> str:
    return f"delivery {row.delivery_id} to {row.destination}"
