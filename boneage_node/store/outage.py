"""A database that is away: said when it goes and when it is back, not every half second in between."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from boneage_node.logs import class_name, get_logger


class Outage:
    """What a process knows of its database. Safe to use from several threads."""

    def __init__(self) -> None:
        self._away = False
        self._lock = threading.Lock()
        self._log = get_logger()

    def surviving(self, work: Callable[[], None]) -> Callable[[], None]:
        """The work, such that a database that is away for a while costs a line in the log."""

        def guarded() -> None:
            try:
                work()
            except SQLAlchemyError as error:
                self.began(error)
            else:
                self.ended()

        return guarded

    def began(self, error: SQLAlchemyError) -> None:
        """Note that the database did not do what was asked."""
        with self._lock:
            if not self._away:
                self._log.error("database away", error=class_name(error))
            self._away = True

    def ended(self) -> None:
        """Note that the database did what was asked."""
        with self._lock:
            if self._away:
                self._log.info("database back")
            self._away = False
