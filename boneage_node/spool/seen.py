"""How long things have been there, by the watch of whoever looks."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

Thing = TypeVar("Thing", bound=Hashable)


class Seen(Generic[Thing]):
    """Remembers when each thing was first seen, on the monotonic clock.

    The clock that files and rows are dated by may be set: what came a minute ago is then a day old.
    """

    def __init__(self) -> None:
        self._first_seen: dict[Thing, float] = {}

    def older_than(self, seconds: float, present: Iterable[Thing]) -> list[Thing]:
        """Those of the things present that were seen so long ago already; what is gone is forgotten.

        Args:
            seconds: With 0, all of them.
            present: All that there are now.
        """
        now = time.monotonic()
        self._first_seen = {thing: self._first_seen.get(thing, now) for thing in present}
        return [thing for thing, since in self._first_seen.items() if now - since >= seconds]
