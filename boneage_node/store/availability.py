"""Availability of the database: logged when it goes and when it is back, not every half second in between."""

from __future__ import annotations

import threading
from collections.abc import Callable

from boneage_node.logs import class_name, get_logger

from .database import DatabaseError


class DatabaseAvailability:
    """Whether the database did what a process last asked of it. Safe to use from several threads."""

    def __init__(self) -> None:
        self._away = False
        self._lock = threading.Lock()
        self._log = get_logger()

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
        with self._lock:
            if not self._away:
                self._log.error("database away", error=class_name(error))
            self._away = True

    def regained(self) -> None:
        """Note that the database did what was asked."""
        with self._lock:
            if self._away:
                self._log.info("database back")
            self._away = False
