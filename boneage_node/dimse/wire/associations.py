"""The associations that run, and the end of those that do not move, whatever their threads do.

pynetdicom gives an association two threads: one for the connection, one for its requests. Either may die of
an exception, or wait for ever; then nobody closes the connection. So the server looks at all of them from
outside, again and again.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pynetdicom.association import Association

from boneage_node.logs import get_logger

from .messages import BoundedMessages
from .transport import BoundedSocket

GRACE_SECONDS = 5.0
"""Time for each step of an end: A-ABORT, then the connection cut, then given up."""
_LAST_SECONDS = 1.0
"""The same where the node shuts down."""
WORK_FACTOR = 10
"""The node may work at a request for so many times the longest silence, then the association is given up."""

_log = get_logger()


@dataclass(eq=False)
class OpenAssociation:
    """The node's data of an association while it lasts.

    Attributes:
        number: Counts associations, for the log.
        association: What it is to pynetdicom.
        calling_ae_title: Who opened it.
        address: From which IP address.
        messages: What it has received.
        socket: Its connection.
        close: Closes the connection for good, once no thread uses it.
        study_ids: Studies (as the store numbers them) of which it brought an instance.
        given_up: It does not end, and counts no more among those that are served.
    """

    number: int
    association: Association
    calling_ae_title: str
    address: str
    messages: BoundedMessages
    socket: BoundedSocket
    close: Callable[[], None]
    study_ids: set[int] = field(default_factory=set)
    given_up: bool = False
    _next_step: float | None = None
    _is_cut: bool = False
    _half_dead_since: float | None = None

    @property
    def is_dead(self) -> bool:
        """Whether neither of its threads runs."""
        return not self.association.is_alive() and not self.association.dul.is_alive()

    def end(self, why: str) -> None:
        """Have it end, beginning with an A-ABORT; :meth:`watch` sees to it that it does."""
        self.socket.note_end(why)
        if self._next_step is None:
            self.association.abort(block=False)
            self._next_step = time.monotonic() + GRACE_SECONDS

    def watch(self, silence_seconds: float) -> None:
        """Begin its end where it does not move, and take the next step where it has to end and does not.

        Args:
            silence_seconds: Longest time in which nothing is said.
        """
        now, working_since = time.monotonic(), self.messages.working_since
        if self.given_up:
            return
        if working_since is not None and now > working_since + WORK_FACTOR * silence_seconds:
            self.end(f"the node did not get on with a request for {WORK_FACTOR * silence_seconds:g} s")
            self._give_up()
        elif self._next_step is None:
            if working_since is None:
                self._look(now, silence_seconds)
        elif now > self._next_step:
            self._next_step = now + GRACE_SECONDS
            if self._is_cut and working_since is None:
                self._give_up()
            self._cut()

    def log_end(self) -> None:
        """Tell why it ended, unless it was released."""
        if not self.association.is_released:
            unnoted = "what came cannot be read, or is not expected"
            _log.warning(
                "association aborted",
                association=self.number,
                calling_ae_title=self.calling_ae_title,
                address=self.address,
                reason=self.socket.end or (unnoted if self.association.is_aborted else "its threads ended"),
            )

    def _look(self, now: float, silence_seconds: float) -> None:
        """Begin its end where nothing is said, or one of its threads has died."""
        if self.association.is_alive() and self.association.dul.is_alive():
            self._half_dead_since = None
            if now > self.socket.last_moved + silence_seconds and not self.socket.in_pdu:
                self.end(f"nothing was said for {silence_seconds:g} s")
        elif self._half_dead_since is None:
            self._half_dead_since = now  # so it is for a moment when one begins or ends
        elif now > self._half_dead_since + GRACE_SECONDS:
            self.socket.note_end("one of its threads died")
            self._next_step = now + GRACE_SECONDS
            self._cut()

    def _cut(self) -> None:
        self._is_cut = True
        self.socket.cut()

    def _give_up(self) -> None:
        self.given_up = True
        self._cut()
        _log.error(
            "association does not end",
            association=self.number,
            calling_ae_title=self.calling_ae_title,
            address=self.address,
            at=[_where(thread) for thread in (self.association, self.association.dul) if thread.is_alive()],
        )


class OpenAssociations(dict[Association, OpenAssociation]):
    """All that run, by what each is to pynetdicom.

    Only one thread changes it: that of the server, and once that has ended the one that shuts it down.
    """

    def served(self, limit: int) -> int:
        """How many there are, without those given up; of these, what is beyond the limit counts too.

        So an end that never comes locks nobody out, and there are never more than twice so many threads.
        """
        given_up = sum(one.given_up for one in list(self.values()))
        return len(self) - given_up + max(given_up - limit, 0)

    def end_all(self, why: str, silence_seconds: float) -> None:
        """End all, for which there is little time."""
        for one in list(self.values()):
            one.end(why)
        for _ in range(2):
            deadline = time.monotonic() + _LAST_SECONDS
            while self and time.monotonic() < deadline:
                self.reap(silence_seconds)
                time.sleep(0.02)
            for one in self.values():
                one.socket.cut()

    def reap(self, silence_seconds: float) -> None:
        """End those that do not move, forget those that have ended, delete what they left half-received."""
        for association, one in list(self.items()):
            if one.is_dead:
                one.messages.discard()
                one.close()
                del self[association]
                one.log_end()
            else:
                one.watch(silence_seconds)


def contain(thread: threading.Thread, connection: BoundedSocket) -> None:
    """Let an exception end an association with a reason, and without a traceback, which may quote.

    Args:
        thread: A thread of the association, not started yet.
        connection: The association's socket.
    """
    run = thread.run

    def contained() -> None:
        try:
            run()
        except Exception as error:  # whatever pynetdicom raises
            frame = traceback.extract_tb(error.__traceback__)[-1]
            connection.note_end(f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}")
            connection.cut()
            connection.assoc.is_established = False
            connection.assoc._is_paused = True  # who sends waits for this thread to pause, without an end

    thread.run = contained  # type: ignore[method-assign]


def _where(thread: threading.Thread) -> str:
    """The place that a thread is at: file, line, function."""
    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None:
        return "?"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}"
