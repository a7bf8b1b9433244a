"""Threads of the control process: one of each name at a time, so that no peer waits for another."""

from __future__ import annotations

import threading
from collections.abc import Callable

from boneage_node.store import DatabaseAvailability


class NamedThreads:
    """Threads that are known by name.

    Args:
        stop: Set when nothing new should be started.
        availability: Told when the database is away.
    """

    def __init__(self, stop: threading.Event, availability: DatabaseAvailability) -> None:
        self._stop = stop
        self._availability = availability
        self._threads: dict[str, threading.Thread] = {}

    @property
    def stopping(self) -> bool:
        """Whether nothing new should be started."""
        return self._stop.is_set()

    def start_once(self, name: str, work: Callable[[], None]) -> None:
        """Start a thread, unless the one of that name still runs."""
        thread = self._threads.get(name)
        if self.stopping or (thread is not None and thread.is_alive()):
            return
        self._threads[name] = threading.Thread(target=self._availability.guard(work), name=name)
        self._threads[name].start()

    def join(self) -> None:
        """Wait for all that run."""
        for thread in self._threads.values():
            thread.join()
