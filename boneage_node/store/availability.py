"""Availability of the database: logged when it goes and when it is back for good, not every half second."""

from __future__ import annotations

from collections.abc import Callable

from boneage_node.logs import Trouble, class_name

from .database import DatabaseError


class DatabaseAvailability:
    """Whether the database did what a process last asked of it. Safe to use from several threads."""

    def __init__(self) -> None:
        self._away = Trouble("database away", "database back")

    def guard(self, work: Callable[[], None]) -> Callable[[], None]:
        """Wrap work, so that a database that is away for a while costs a line in the log and no more."""

        def guarded() -> None:
            try:
                work()
            except DatabaseError as error:
                self.lost(error)
            else:
                self.regained()

        return guarded

    def lost(self, error: DatabaseError) -> None:
        """Note that the database did not do what was asked."""
        self._away.met(error=class_name(error))

    def regained(self) -> None:
        """Note that the database did what was asked."""
        self._away.well()
