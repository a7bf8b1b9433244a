"""Sockets of associations, for callers and for the called: they judge progress, and remember why they ended.

pynetdicom reads a PDU by two reads, of its header and of its body, trusts the length in between, and waits
for each byte as long as for the first.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pynetdicom.transport import AddressInformation, AssociationSocket

from .negotiation import ABORT, ASSOCIATE_RQ, HEADER_BYTES, abort_cause, clean_abort

if TYPE_CHECKING:
    from pynetdicom.association import Association

STEP_BYTES = 4 * 2**10
"""So many bytes of a PDU, or its rest, must come, or be taken in, within the longest silence.

So a line of a few hundred bytes a second is good enough, and a PDU cannot be made to last for ever.
"""
_SOME_BYTES = HEADER_BYTES
"""Read ahead of a TLS connection; any number would do."""
_ABORTED_BY_USER = "the peer aborted it"
_ABORTED_BY_PROVIDER = {
    0: "its DICOM layer gives no reason",
    1: "its DICOM layer does not know a PDU that it got",
    2: "its DICOM layer did not expect a PDU that it got",
    4: "its DICOM layer does not know a parameter of a PDU that it got",
    5: "its DICOM layer did not expect a parameter of a PDU that it got",
    6: "its DICOM layer does not take a value in a PDU that it got",
}
"""Reasons of PS3.8 section 9.3.8."""


class SecureConnection(ssl.SSLSocket):
    """A TLS connection that says goodbye (close_notify) before it is shut down: peers log it otherwise.

    Made by contexts whose ``sslsocket_class`` it is.
    """

    def shutdown(self, how: int) -> None:
        """Tell the peer that nothing more comes, do not wait for its answer, shut the connection down."""
        with suppress(OSError, ValueError):  # no handshake was made, or the peer is gone
            self.settimeout(0)
            self.unwrap()
        super().shutdown(how)


class BoundedSocket(AssociationSocket):
    """The socket of an association: refuses long PDUs, and waits for those that get on.

    It is ready only where a read would give a byte of the peer's message. Of a TLS connection, `select` knows
    too little: what is readable may be a part of a record, or a message of TLS itself, and a read would wait
    for the rest while nothing could be sent.

    Args:
        association: The association that the socket belongs to.
        silence_seconds: Longest time in which nothing gets on inside of a PDU, received or sent.
        max_pdu_bytes: Longest PDU that is taken.
        connection: The connected socket; without it, one is made.
        address: The local address of the one to be made.

    Attributes:
        read_ahead: Bytes that were read already.
        last_moved: When bytes were last received or sent, by the monotonic clock.
        in_pdu: Whether the rest of a PDU is waited for, to come or to be taken in.
        end: What ended the association, in words; None as long as nothing has.
    """

    def __init__(
        self,
        association: Association,
        silence_seconds: float,
        max_pdu_bytes: int,
        *,
        connection: socket.socket | None = None,
        address: AddressInformation | None = None,
    ) -> None:
        super().__init__(association, client_socket=connection, address=address)
        self.read_ahead = b""
        self.last_moved = time.monotonic()
        self.in_pdu = False
        self.end: str | None = None
        self._silence_seconds = silence_seconds
        self._max_pdu_bytes = max_pdu_bytes
        self._in_body = False

    def note_end(self, why: str) -> None:
        """Remember why the association ends; what was first counts, the rest follows from it."""
        self.end = self.end or why

    @property
    def ready(self) -> bool:
        """Whether there is something to read, or the peer has closed the connection."""
        if self.read_ahead:
            return True
        if not super().ready:
            return False
        return self._reads(self.socket) if isinstance(self.socket, ssl.SSLSocket) else True

    def recv(self, nr_bytes: int) -> bytearray:
        """Read the header of a PDU, or, the next time, its body; fewer bytes where the connection has ended.

        Raises:
            OSError: It does not get on, or the connection is lost.
        """
        if not self._in_body:
            return self._receive_header()
        self._in_body = False
        if nr_bytes > self._max_pdu_bytes:
            self.note_end(f"a PDU of {nr_bytes} bytes, longer than {self._max_pdu_bytes}")
            self.event_queue.put("Evt19")  # invalid PDU: answered with A-ABORT, then closed
            return bytearray()
        return self._receive(nr_bytes, begun=True)

    def send(self, bytestream: bytes) -> None:
        """Send bytes; a peer that does not take them in loses the association."""
        self.in_pdu = True
        try:
            self._send(bytestream)
        except OSError as error:  # one without a number: closed by another thread
            self.note_end(f"nothing could be sent any more ({_problem(error)})")
            self.event_queue.put("Evt17")  # transport connection closed
        finally:
            self.in_pdu = False

    def cut(self) -> None:
        """End the connection from another thread, at once, so that whoever waits for it does not any more."""
        connection = self.socket
        if connection is not None:
            with suppress(OSError):  # past TLS, which the other thread may be in
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def rewrite(self, pdu: bytes) -> bytes:
        """What pynetdicom gets to see of a PDU that no data goes in."""
        return clean_abort(pdu)

    def is_rewritten(self, kind: int) -> bool:
        """Whether a PDU of this type goes through :meth:`rewrite`."""
        return kind == ABORT

    def _receive_header(self) -> bytearray:
        header = self._receive(HEADER_BYTES, begun=False)
        if len(header) < HEADER_BYTES:
            return header
        kind, length = struct.unpack(">BxL", header)
        if self.is_rewritten(kind) and length <= self._max_pdu_bytes:
            pdu = self.rewrite(bytes(header + self._receive(length, begun=True)))
            if kind == ABORT:
                self._note_abort(pdu)
            self.read_ahead = pdu[HEADER_BYTES:] + self.read_ahead
            header = bytearray(pdu[:HEADER_BYTES])
        if ASSOCIATE_RQ <= kind <= ABORT:
            self._in_body = True
        else:
            self.note_end(f"a PDU of unknown type 0x{kind:02X}")
        return header

    def _note_abort(self, pdu: bytes) -> None:
        source, reason = abort_cause(pdu)
        if source == 0:
            self.note_end(_ABORTED_BY_USER)
        else:
            self.note_end(f"{_ABORTED_BY_USER}: {_ABORTED_BY_PROVIDER[reason]}")

    def _receive(self, nr_bytes: int, *, begun: bool) -> bytearray:
        """Read so many bytes of a PDU, begun or not; fewer where the connection has ended."""
        self.in_pdu = True
        try:
            return self._receive_paced(nr_bytes, begun)
        finally:
            self.in_pdu = False

    def _receive_paced(self, nr_bytes: int, begun: bool) -> bytearray:
        taken, self.read_ahead = self.read_ahead[:nr_bytes], self.read_ahead[nr_bytes:]
        received = bytearray(nr_bytes)
        received[: len(taken)] = taken
        view, read = memoryview(received), len(taken)
        pace = _Pace(self._silence_seconds)
        while read < nr_bytes and self.socket is not None:
            try:
                self.socket.settimeout(pace.remaining_seconds)
                count = self.socket.recv_into(view[read:])
            except OSError as error:
                what = "the rest of a PDU did not come" if begun or read else "the connection was lost"
                self.note_end(f"{what} ({_problem(error)})")
                raise
            if not count:
                where = "in the middle of a PDU" if begun or read else "without a release"
                self.note_end(f"the peer closed the connection {where}")
                break
            read += count
            self.last_moved = pace.moved(count)
        view.release()
        del received[read:]
        return received

    def _send(self, data: bytes) -> None:
        if self.socket is None:
            raise OSError
        left, pace = memoryview(data), _Pace(self._silence_seconds)
        while left:
            self.socket.settimeout(pace.remaining_seconds)
            count = self.socket.send(left)
            left = left[count:]
            self.last_moved = pace.moved(count)

    def _reads(self, connection: socket.socket) -> bool:
        timeout_seconds = connection.gettimeout()
        try:
            connection.settimeout(0)
            self.read_ahead = connection.recv(_SOME_BYTES)
            connection.settimeout(timeout_seconds)
        except ssl.SSLWantReadError:
            connection.settimeout(timeout_seconds)
            return False
        except OSError as error:
            self.note_end(f"the connection was lost ({_problem(error)})")
            self.event_queue.put("Evt17")  # transport connection closed
            return False
        self.last_moved = time.monotonic()
        return True


class _Pace:
    """The time that is left for the next step of a PDU."""

    def __init__(self, silence_seconds: float) -> None:
        self._silence_seconds = silence_seconds
        self._step_bytes = 0
        self._deadline = time.monotonic() + silence_seconds

    @property
    def remaining_seconds(self) -> float:
        """For a read or a write; never 0, which would be not to wait at all."""
        return max(self._deadline - time.monotonic(), 0.001)

    def moved(self, count: int) -> float:
        """So many bytes have come, or gone; returns when, by the monotonic clock."""
        now = time.monotonic()
        self._step_bytes += count
        if self._step_bytes >= STEP_BYTES:
            self._step_bytes = 0
            self._deadline = now + self._silence_seconds
        return now


def _problem(error: OSError) -> str:
    """What went wrong with a connection, in words."""
    if isinstance(error, TimeoutError):
        return "too slow"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "the connection was reset"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or type(error).__name__}"
    return error.strerror or "the connection is closed"
