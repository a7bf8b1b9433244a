"""What comes in, and when no more of it is expected."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from boneage_node.reading.settings import ReadingSettings
from boneage_node.store import Intake
from boneage_node.traffic.received import Accepted, Received

HELD_SECONDS = 60.0
"""A study waits no longer than this after its last image for what its station may still be sending."""


@dataclass
class _Arrival:
    """A study that is coming in; times by the monotonic clock.

    Attributes:
        station: AE title of the sender of its last image.
        last_at: When that came.
        settles_at: When it settles, unless more comes.
        released: Its sender has said that it is done.
        let_go: It waits the short time that follows a release.
    """

    station: str
    last_at: float
    settles_at: float
    released: bool = False
    let_go: bool = False


class Arrivals:
    """Receiver of instances that files them in the store, and says when their studies may be read.

    Senders differ: one association for a study, one for each image, or several at once. So a study waits
    while its station speaks on any association, for that may bring more of it; then for
    `release_quiet_seconds` where its own association was released, and for `quiet_seconds` where that was
    aborted or stands open in silence. What is known of this is in memory alone: the store has a time at which
    the study settles, which is put off while the station speaks. Where this process dies, nobody does so.

    Args:
        intake: The store's intake.
        settings: How long is waited.
        clock: Seconds that only go forward; replaced by tests.
    """

    def __init__(
        self, intake: Intake, settings: ReadingSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._intake = intake
        self._quiet_seconds = settings.quiet_seconds
        self._release_quiet_seconds = min(settings.release_quiet_seconds, settings.quiet_seconds)
        self._clock = clock
        self._lock = threading.Lock()
        self._arrivals: dict[int, _Arrival] = {}

    def accept(self, incoming: Path, received: Received) -> Accepted:
        """Keep a received file. When this returns, the instance survives a power cut."""
        accepted = self._intake.accept(incoming, received, self._quiet_seconds)
        if accepted.new:
            now = self._clock()
            with self._lock:
                self._arrivals[accepted.study_id] = _Arrival(
                    received.calling_ae_title.strip(), now, now + self._quiet_seconds
                )
        return accepted

    def association_released(self, study_ids: Iterable[int]) -> None:
        """Note that the sender is done with these studies."""
        with self._lock:
            for study_id in study_ids:
                if study_id in self._arrivals:
                    self._arrivals[study_id].released = True

    def look(self, speaking: Collection[str]) -> None:
        """Put off the studies of stations that still speak, and let go those of the others.

        To be called more often than once in `release_quiet_seconds`.

        Args:
            speaking: AE titles of the stations that have said something of late on an open association.

        Raises:
            DatabaseError: The database does not answer; the next look does what this one could not.
        """
        held: dict[int, _Arrival] = {}
        let_go: dict[int, _Arrival] = {}
        now = self._clock()
        with self._lock:
            for study_id, arrival in list(self._arrivals.items()):
                if arrival.station in speaking and now < arrival.last_at + HELD_SECONDS:
                    arrival.let_go = False
                    if arrival.settles_at < now + self._quiet_seconds / 2:
                        held[study_id] = arrival
                elif arrival.released and not arrival.let_go:
                    let_go[study_id] = arrival
                elif arrival.settles_at < now:
                    del self._arrivals[study_id]
        self._settle_in(held, now, self._quiet_seconds)
        self._settle_in(let_go, now, self._release_quiet_seconds, let_go=True)

    def _settle_in(
        self, arrivals: dict[int, _Arrival], now: float, seconds: float, *, let_go: bool = False
    ) -> None:
        """Let studies settle; noted only once the store has it, so that the next look tries again."""
        self._intake.settle_in(arrivals, seconds)
        with self._lock:
            for arrival in arrivals.values():
                arrival.settles_at = now + seconds
                arrival.let_go = let_go
