"""Leases: the life of a task, the same for every table of tasks.

::

    to do ──claim──▶ doing ──complete──▶ done
      ▲                │ │
      ├─release, fail──┘ └─last failure──▶ dead ──reopen──▶ to do

A claimed task is leased: when its lease has run out, another process may claim it. Every change of a task's
status is made here, and written into its study's history here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, true
from sqlalchemy.orm import Session

from boneage_node.retry import RetryPolicy

from .history import record
from .tables import Base, EventKind, Leased, Status

Task = TypeVar("Task", bound=Leased)


class Transition(Enum):
    """Change of a task."""

    CLAIMED = auto()
    TAKEN_OVER = auto()
    """Claimed after its lease had run out."""
    RELEASED = auto()
    FAILED = auto()
    """An attempt failed, the last or another."""
    POSTPONED = auto()
    """An attempt failed, and there will be another."""
    DONE = auto()
    DEAD = auto()
    REOPENED = auto()


@dataclass(frozen=True)
class Leases(Generic[Task]):
    """The tasks of one table. Its methods work within the caller's transaction.

    Attributes:
        table: The table.
        title: What a task is called in the history: rows by their id, never patient data.
        events: What the history says of a transition; nothing of the others.
        lost: What to say when a lease has run out; None where that is no failure.
        may_start: What else must hold for a task to do to be claimed.
        tasks: Query of the tasks, with what else `claim` should return; the table alone if None.
        locks: The tables of `tasks` whose rows are locked with a claim.
    """

    table: type[Task]
    title: Callable[[Task], str]
    events: Mapping[Transition, EventKind]
    lost: Callable[[Task], str] | None = None
    may_start: ColumnElement[bool] = field(default_factory=true)
    tasks: Select[*tuple[Any, ...]] | None = None
    locks: tuple[type[Base], ...] = ()

    def due(self, now: datetime) -> ColumnElement[bool]:
        """Condition of a task that may be claimed: to do and due, or its lease has run out."""
        task = self.table
        return or_(
            and_(task.status == Status.TODO, task.scheduled_at <= now, self.may_start),
            and_(task.status == Status.DOING, task.leased_until <= now),
        )

    def claim(
        self,
        session: Session,
        now: datetime,
        limit: int,
        lease_seconds: float,
        policy: RetryPolicy,
        *conditions: ColumnElement[bool],
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Take up to ``limit`` tasks that are due, oldest first, locked; what others have locked is skipped.

        Returns:
            The rows of `tasks`.
        """
        oldest = self._skipping_locked(self.due(now), *conditions).limit(limit)
        rows = session.execute(oldest).all()
        for task, *_ in rows:
            if task.status == Status.DOING:
                lost = f": {self.lost(task)}" if self.lost else ""
                self._record(session, task, Transition.TAKEN_OVER, now, f", attempt {task.attempts}{lost}")
            task.status = Status.DOING
            task.attempts += 1
            task.leased_until = now + timedelta(seconds=lease_seconds)
            self._record(session, task, Transition.CLAIMED, now, _attempt_of(task, policy))
        return rows

    def bury_spent(
        self, session: Session, now: datetime, policy: RetryPolicy, *conditions: ColumnElement[bool]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Make tasks that would be due, but have had all their attempts, dead letters.

        Returns:
            The rows of `tasks`, locked; what others have locked is skipped.
        """
        spent = self.table.attempts >= policy.max_attempts
        rows = session.execute(self._skipping_locked(self.due(now), spent, *conditions)).all()
        for task, *_ in rows:
            if task.status == Status.DOING and self.lost:
                task.last_error = self.lost(task)
            self._bury(session, task, now)
        return rows

    def lock(self, session: Session, *conditions: ColumnElement[bool]) -> Sequence[Task]:
        """Tasks, locked in one order for all, so that no two processes wait for each other."""
        return session.scalars(
            select(self.table).where(*conditions).order_by(self.table.id).with_for_update()
        ).all()

    def held(
        self, session: Session, task_ids: Iterable[int], *conditions: ColumnElement[bool]
    ) -> Sequence[Task]:
        """Those of these tasks that are being done, locked."""
        ids = self.table.id.in_(sorted(set(task_ids)))
        return self.lock(session, ids, self.table.status == Status.DOING, *conditions)

    def extend(
        self,
        session: Session,
        task_ids: Iterable[int],
        now: datetime,
        lease_seconds: float,
        *conditions: ColumnElement[bool],
    ) -> list[int]:
        """Prolong leases; returns those of the tasks that are still being done."""
        tasks = self.held(session, task_ids, *conditions)
        for task in tasks:
            task.leased_until = now + timedelta(seconds=lease_seconds)
        return [task.id for task in tasks]

    def release(self, session: Session, task: Task, now: datetime) -> None:
        """Give back a task that was claimed and not tried; it does not count as an attempt."""
        task.attempts -= 1
        put_back(task, task.scheduled_at)
        self._record(session, task, Transition.RELEASED, now)

    def complete(
        self, session: Session, task: Task, now: datetime, kind: EventKind | None = None, detail: str = ""
    ) -> None:
        """End a task; ``kind`` and ``detail`` say in the history how, where it may end in several ways."""
        _end(task, Status.DONE, now)
        detail = detail or f", attempt {task.attempts}"
        self._record(session, task, Transition.DONE, now, detail, kind)

    def fail(
        self,
        session: Session,
        task: Task,
        error: str,
        now: datetime,
        policy: RetryPolicy,
        *,
        permanent: bool = False,
        again_at: datetime | None = None,
    ) -> None:
        """Make a task one to try again later, or a dead letter.

        Args:
            session: The transaction.
            task: The task, locked.
            error: What went wrong; kept with the task, not in the history.
            now: The time now.
            policy: When it is tried again, and how often.
            permanent: Trying again is of no use.
            again_at: When it is tried again, instead of after the policy's wait.
        """
        task.last_error = error
        detail = _attempt_of(task, policy)
        self._record(session, task, Transition.FAILED, now, detail)
        if permanent or policy.is_last(task.attempts):
            self._bury(session, task, now)
        else:
            again_at = again_at or now + policy.wait(max(task.attempts, 1))
            self.postpone(session, task, again_at, now, detail=detail)

    def postpone(
        self,
        session: Session,
        task: Task,
        again_at: datetime,
        now: datetime,
        kind: EventKind | None = None,
        detail: str = "",
    ) -> None:
        """Make a task one to try again later, however often it has been tried."""
        put_back(task, again_at)
        self._record(session, task, Transition.POSTPONED, now, detail, kind)

    def reopen(self, session: Session, task: Task, now: datetime) -> None:
        """Make a dead letter a task to do, with all its attempts before it."""
        start_anew(task, now)
        self._record(session, task, Transition.REOPENED, now)

    def counts(self, session: Session) -> dict[str, int]:
        """Numbers of tasks by status."""
        query = select(self.table.status, func.count()).group_by(self.table.status)
        found = dict(session.execute(query).all())
        return {status.value: found.get(status, 0) for status in Status}

    def _skipping_locked(self, *conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
        tasks = select(self.table) if self.tasks is None else self.tasks
        return (
            tasks.where(*conditions)
            .order_by(self.table.scheduled_at, self.table.id)
            .with_for_update(skip_locked=True, of=self.locks or None)
        )

    def _bury(self, session: Session, task: Task, now: datetime) -> None:
        _end(task, Status.DEAD, now)
        self._record(session, task, Transition.DEAD, now, f" was given up after attempt {task.attempts}")

    def _record(
        self,
        session: Session,
        task: Task,
        transition: Transition,
        now: datetime,
        detail: str = "",
        kind: EventKind | None = None,
    ) -> None:
        kind = kind or self.events.get(transition)
        if kind is not None:
            record(session, kind, now, getattr(task, "study_id", None), self.title(task) + detail)


def start_anew(task: Leased, scheduled_at: datetime) -> None:
    """Make a task, new or at its end, one to do with all its attempts before it."""
    task.attempts = 0
    put_back(task, scheduled_at)


def put_back(task: Leased, scheduled_at: datetime) -> None:
    """Make a task one to do, without a word in the history."""
    task.status = Status.TODO
    task.scheduled_at = scheduled_at
    task.leased_until = None
    task.finished_at = None


def _end(task: Leased, status: Status, now: datetime) -> None:
    task.status = status
    task.finished_at = now
    task.leased_until = None
    if status is Status.DONE:
        task.last_error = None


def _attempt_of(task: Leased, policy: RetryPolicy) -> str:
    return f", attempt {task.attempts} of {policy.max_attempts}"
