"""Work that recurs, each in a thread of its own and timed by a clock that cannot be set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from boneage_node.logs import Trouble
from boneage_node.store import DatabaseAvailability


class Recurring:
    """The recurring work of a process. What is late is done once, and nothing that fails ends it.

    A scheduler by the time of day will not do: set back, such a clock stops it for as long; set forward, it
    has every tick that it missed to do.

    Args:
        stop: Set when the work should end.
        availability: Told when the database is away.
    """

    def __init__(self, stop: threading.Event, availability: DatabaseAvailability) -> None:
        self._stop = stop
        self._availability = availability
        self._threads: list[threading.Thread] = []
        self._came_round: list[threading.Event] = []

    def start(self, name: str, work: Callable[[], None], seconds: float, *, watched: bool = True) -> None:
        """Begin to do something at once, and again so many seconds after each time.

        Args:
            name: What it is, for the log and for the thread.
            work: Does it.
            seconds: The pause.
            watched: Whether `came_round` waits for it.
        """
        came_round = threading.Event()
        if watched:
            self._came_round.append(came_round)
        trouble = Trouble(f"{name} fails", f"{name} is well again")
        guarded = self._availability.guard(work)

        def run() -> None:
            while not self._stop.is_set():
                try:
                    guarded()
                except Exception as error:  # whatever it is: the next round may go well
                    trouble.met(exc_info=error)
                else:
                    trouble.well()
                came_round.set()
                self._stop.wait(seconds)

        thread = threading.Thread(target=run, name=name)
        self._threads.append(thread)
        thread.start()

    def came_round(self) -> bool:
        """Tell whether all that is watched has come round, well or not, since this last was true."""
        if not all(event.is_set() for event in self._came_round):
            return False
        for event in self._came_round:
            event.clear()
        return True

    def join(self) -> None:
        """Wait until all has ended."""
        for thread in self._threads:
            thread.join()


class ClockWatch:
    """Compares the machine's clock with the time since it was started, which nobody sets."""

    NOTABLE_SECONDS = 2.0
    """A smaller step is a clock that is kept right."""
    _LARGE_SECONDS = 3600.0

    def __init__(self) -> None:
        self._ahead_seconds = _ahead_seconds()
        self.trustworthy = True
        """Whether no large step was seen: what is thrown away by its age should have that age."""

    def look(self) -> float:
        """Seconds by which the clock was set since the last look; negative where it was set back."""
        ahead_seconds = _ahead_seconds()
        step_seconds, self._ahead_seconds = ahead_seconds - self._ahead_seconds, ahead_seconds
        if abs(step_seconds) > self._LARGE_SECONDS:
            self.trustworthy = False
        return step_seconds


def _ahead_seconds() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
