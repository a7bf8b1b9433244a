"""Leases: the life of a task, the same for every table of tasks.

::

    to do ──claim──▶ doing ──complete──▶ done
      ▲                │ │
      ├─release, fail──┘ └─last failure──▶ dead ──reopen──▶ to do

A claimed task is leased: when its lease has run out, another process may claim it. Every change of a task's
status is made here, and written into its study's history here.

Times are those of the machine's clock, which may be set. Set forward, waits and leases are over too early: a
task is tried once more than it had to be, and what its first holder brings is taken if it comes first. Set
back, a wait is over as soon as the clock shows a time before the wait began; a smaller step delays it by no
more than the step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from boneage_node.logs import class_name, get_logger
from boneage_node.retry import RetryPolicy

from .database import DatabaseError, Transaction
from .part import Part
from .tables import Base, EventKind, Leased, Status

Task = TypeVar("Task", bound=Leased)

CLOCK_SLACK = timedelta(seconds=60)
"""So far apart may the clocks of a node's machines be before a time counts as that of a clock set back."""


class Transition(Enum):
    """Change of a task."""

    CLAIMED = auto()
    TAKEN_OVER = auto()
    """Claimed after its lease had run out."""
    FAILED = auto()
    """An attempt failed, the last or another."""
    POSTPONED = auto()
    """An attempt failed, and there will be another."""
    PUT_OFF = auto()
    """Given back for the node's own trouble, the first time in a row."""
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
    title: Callable[[Task], str] = str
    events: Mapping[Transition, EventKind] = field(default_factory=dict)
    lost: Callable[[Task], str] | None = None
    may_start: ColumnElement[bool] = field(default_factory=true)
    tasks: Select[*tuple[Any, ...]] | None = None
    locks: tuple[type[Base], ...] = ()

    def due(self, now: datetime) -> ColumnElement[bool]:
        """Condition of a task that may be claimed: to do and due, or its lease has run out."""
        task = self.table
        set_back = clock_set_back(func.coalesce(task.set_at, task.created_at), now)
        return or_(
            and_(task.status == Status.TODO, or_(task.scheduled_at <= now, set_back), self.may_start),
            and_(task.status == Status.DOING, or_(task.leased_until <= now, set_back)),
        )

    def claim(
        self,
        session: Transaction,
        limit: int,
        lease_seconds: float,
        policy: RetryPolicy,
        *conditions: ColumnElement[bool],
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Take tasks that are due, oldest first, locked; what others have locked is skipped.

        Args:
            session: The transaction.
            limit: How many at most.
            lease_seconds: How long nobody else may claim them; `extend` prolongs it.
            policy: How many attempts a task has, for the history: see `bury_spent`.
            *conditions: Which.

        Returns:
            The rows of `tasks`.
        """
        rows = session.execute(self._skipping_locked(self.due(session.now), *conditions).limit(limit)).all()
        for task, *_ in rows:
            if task.status == Status.DOING:
                lost = f": {self.lost(task)}" if self.lost else ""
                self._record(session, task, Transition.TAKEN_OVER, f", attempt {task.attempts}{lost}")
            task.status = Status.DOING
            task.attempts += 1
            _lease(task, session.now, lease_seconds)
            self._record(session, task, Transition.CLAIMED, _attempt_of(task, policy))
        return rows

    def bury_spent(
        self, session: Transaction, policy: RetryPolicy, *conditions: ColumnElement[bool]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Make tasks that would be due, but have had all their attempts, dead letters.

        Such a task has killed the process that did it, each time. What others have locked is skipped.

        Returns:
            The rows of `tasks`, locked.
        """
        spent = self.table.attempts >= policy.max_attempts
        rows = session.execute(self._skipping_locked(self.due(session.now), spent, *conditions)).all()
        for task, *_ in rows:
            if task.status == Status.DOING and self.lost:
                task.last_error = self.lost(task)
            self._bury(session, task)
        return rows

    def lock(self, session: Transaction, *conditions: ColumnElement[bool]) -> Sequence[Task]:
        """Tasks, locked in one order for all, so that no two processes wait for each other."""
        return session.scalars(
            select(self.table).where(*conditions).order_by(self.table.id).with_for_update()
        ).all()

    def held(
        self, session: Transaction, task_ids: Iterable[int], *conditions: ColumnElement[bool]
    ) -> Sequence[Task]:
        """Those of these tasks that are being done, locked."""
        ids = self.table.id.in_(sorted(set(task_ids)))
        return self.lock(session, ids, self.table.status == Status.DOING, *conditions)

    def extend(
        self,
        session: Transaction,
        task_ids: Iterable[int],
        lease_seconds: float,
        *conditions: ColumnElement[bool],
    ) -> list[int]:
        """Prolong leases; returns those of the tasks that are still being done."""
        tasks = self.held(session, task_ids, *conditions)
        for task in tasks:
            _lease(task, session.now, lease_seconds)
        return [task.id for task in tasks]

    def complete(
        self, session: Transaction, task: Task, kind: EventKind | None = None, detail: str = ""
    ) -> None:
        """End a task; ``kind`` and ``detail`` say in the history how, where it may end in several ways."""
        _end(task, Status.DONE, session.now)
        task.last_error = None
        self._record(session, task, Transition.DONE, detail or f", attempt {task.attempts}", kind)

    def fail(
        self,
        session: Transaction,
        task: Task,
        error: str,
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
            policy: When it is tried again, and how often.
            permanent: Trying again is of no use.
            again_at: When it is tried again, instead of after the policy's wait.
        """
        task.last_error = error
        task.put_off = 0
        detail = _attempt_of(task, policy)
        self._record(session, task, Transition.FAILED, detail)
        if permanent or policy.is_last(task.attempts):
            self._bury(session, task)
        else:
            again_at = again_at or session.now + policy.wait(max(task.attempts, 1))
            self.postpone(session, task, again_at, detail=detail)

    def postpone(
        self,
        session: Transaction,
        task: Task,
        again_at: datetime,
        kind: EventKind | None = None,
        detail: str = "",
    ) -> None:
        """Make a task one to try again later, however often it has been tried."""
        _put_back(task, again_at, session.now)
        self._record(session, task, Transition.POSTPONED, detail, kind)

    def put_off(self, session: Transaction, task: Task, trouble: str, policy: RetryPolicy) -> None:
        """Give back a task that could not be done for the node's own trouble; it costs no attempt.

        Args:
            session: The transaction.
            task: The task, locked.
            trouble: What the trouble is; kept with the task.
            policy: How long to wait, which grows with each time in a row.
        """
        task.attempts -= 1
        task.put_off += 1
        task.last_error = trouble
        _put_back(task, session.now + policy.longest_wait(task.put_off), session.now)
        if task.put_off == 1:
            self._record(session, task, Transition.PUT_OFF)

    def reopen(self, session: Transaction, *conditions: ColumnElement[bool]) -> Sequence[Task]:
        """Make tasks, whatever they are, ones to do now, with all their attempts before them."""
        tasks = self.lock(session, *conditions)
        for task in tasks:
            start_anew(task, session.now)
            self._record(session, task, Transition.REOPENED)
        return tasks

    def stuck(self, now: datetime) -> ColumnElement[bool]:
        """Condition of a task that goes on by hand alone, or waits for its next attempt."""
        task = self.table
        waits = and_(task.status == Status.TODO, task.scheduled_at > now)
        return or_(task.status == Status.DEAD, waits)

    def _skipping_locked(self, *conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
        tasks = select(self.table) if self.tasks is None else self.tasks
        return (
            tasks.where(*conditions)
            .order_by(self.table.scheduled_at, self.table.id)
            .with_for_update(skip_locked=True, of=self.locks or None)
        )

    def _bury(self, session: Transaction, task: Task) -> None:
        _end(task, Status.DEAD, session.now)
        self._record(session, task, Transition.DEAD, f" was given up after attempt {task.attempts}")

    def _record(
        self,
        session: Transaction,
        task: Task,
        transition: Transition,
        detail: str = "",
        kind: EventKind | None = None,
    ) -> None:
        kind = kind or self.events.get(transition)
        if kind is not None:
            session.record(kind, getattr(task, "study_id", None), self.title(task) + detail)


class LeasedPart(Part):
    """A part of the store that is a table of leased tasks."""

    _leases: ClassVar[Leases[Any]]

    def counts(self) -> dict[str, int]:
        """Numbers of tasks by status."""
        return self._count(Status, self._leases.table.status)

    def _due(self, column: InstrumentedAttribute[str]) -> list[str]:
        """The values of a column in the tasks that may be claimed now."""
        with self._transactions.reading() as session:
            due = select(column).where(self._leases.due(session.now)).distinct()
            return sorted(session.scalars(due))


@contextmanager
def leases_kept(extend: Callable[[], object], interval_seconds: float) -> Iterator[None]:
    """Prolong leases while the block lasts, in a thread beside it.

    Args:
        extend: Does it; a database that does not answer is logged, and asked again the next time.
        interval_seconds: How often; the first time after as long.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(interval_seconds):
            try:
                extend()
            except DatabaseError as error:
                get_logger().warning("lease not extended", error=class_name(error))

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def start_anew(task: Leased, now: datetime, wait: timedelta = timedelta()) -> None:
    """Make a task, new or at its end, one to do after a wait, with all its attempts before it."""
    task.attempts = 0
    task.put_off = 0
    _put_back(task, now + wait, now)


def release(task: Leased) -> None:
    """Give back a task that was claimed and not tried; it does not count as an attempt."""
    task.attempts -= 1
    _put_back(task, task.scheduled_at, task.set_at)


def clock_set_back(
    set_at: ColumnElement[datetime] | InstrumentedAttribute[datetime], now: datetime
) -> ColumnElement[bool]:
    """Condition of a row whose times were set under a clock that has been set back since."""
    return set_at > now + CLOCK_SLACK


def _lease(task: Leased, now: datetime, lease_seconds: float) -> None:
    task.leased_until = now + timedelta(seconds=lease_seconds)
    task.set_at = now


def _put_back(task: Leased, scheduled_at: datetime, now: datetime | None) -> None:
    task.status = Status.TODO
    task.scheduled_at = scheduled_at
    task.set_at = now
    task.leased_until = None
    task.finished_at = None


def _end(task: Leased, status: Status, now: datetime) -> None:
    task.status = status
    task.finished_at = now
    task.leased_until = None


def _attempt_of(task: Leased, policy: RetryPolicy) -> str:
    return f", attempt {task.attempts} of {policy.max_attempts}"
