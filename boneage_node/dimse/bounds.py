"""Bounds on what a peer can make pynetdicom hold: bytes of a PDU, a message and a file, and requests in line.

pynetdicom 3.0 trusts the lengths that a peer announces, and keeps all that it sends until a message is
complete. The two classes here replace its socket and its DIMSE provider in an accepted association; nothing
else changes.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import socket
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import structlog
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dsutils import decode
from pynetdicom.pdu_primitives import P_DATA

from .status import Status, StoreError
from .transport import ReadAheadSocket

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import NTF

MAX_PDU_BYTES = 2**20
"""The longest PDU the receiver announces that it takes, and takes.

Longer ones bring no more speed (see benchmarks/receive.py), and each association must be able to hold a few.
"""
MAX_COMMAND_BYTES = 16 * 2**10
"""A C-STORE command set is some 300 bytes."""
MAX_WAITING_REQUESTS = 8
"""Nobody may invoke more than one operation at a time without having negotiated it; some do, a little."""
_SPACE_CHECK_BYTES = 16 * 2**20
_C_STORE_RQ, _C_ECHO_RQ = 0x0001, 0x0030
_NO_DATA_SET = 0x0101

_log = structlog.get_logger(__name__)


class BoundedSocket(ReadAheadSocket):
    """A socket of an association that refuses long PDUs and does not wait for ever.

    Args:
        association: The association that the socket belongs to.
        connection: The connected socket.
        request: Bytes of the peer that were read already: its association request.
        idle_timeout_seconds: Longest time for one PDU to arrive, or for the peer to take in what is sent.
    """

    def __init__(
        self, association: Association, connection: socket.socket, request: bytes, idle_timeout_seconds: float
    ) -> None:
        super().__init__(association, client_socket=connection)
        self.read_ahead = request
        self._idle_timeout_seconds = idle_timeout_seconds

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes of a PDU; fewer where the peer has closed the connection.

        Raises:
            TimeoutError: The peer did not send them in time.
        """
        if nr_bytes > MAX_PDU_BYTES:
            _log.warning("pdu_too_long", announced_bytes=nr_bytes)
            self.event_queue.put("Evt19")  # invalid PDU: answered with A-ABORT, then closed
            return bytearray()
        taken = self.take(nr_bytes)
        deadline = time.monotonic() + self._idle_timeout_seconds
        return taken + self._recv_before(deadline, nr_bytes - len(taken))

    def _recv_before(self, deadline: float, nr_bytes: int) -> bytearray:
        if self.socket is None:
            return bytearray()
        received = bytearray(nr_bytes)
        view = memoryview(received)
        read = 0
        while read < nr_bytes:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            count = self.socket.recv_into(view[read:])
            if not count:
                view.release()
                del received[read:]
                break
            read += count
        return received

    def send(self, bytestream: bytes) -> None:
        """Send bytes; a peer that takes nothing in loses the association."""
        try:
            if self.socket is not None:
                self.socket.settimeout(self._idle_timeout_seconds)
        except OSError:  # closed by another thread
            self.event_queue.put("Evt17")
            return
        super().send(bytestream)


class IncomingFile:
    """The temporary file of a data set on its way in, which stops growing when there is no room for it.

    It stands where pynetdicom keeps its own (``write``, ``file.flush``, ``close`` and ``name`` are what it
    uses). Once :attr:`refusal` is set, the rest of the data set is swallowed, so that the peer gets its
    answer.

    Args:
        file: The temporary file as pynetdicom made it, or None where it could not be made.
        max_bytes: The largest data set to take in.
        reserve_bytes: Free space to leave on the file system.
        refusal: Why the data set is refused from the start.
    """

    def __init__(
        self,
        file: NTF | None,
        max_bytes: int,
        reserve_bytes: int,
        refusal: StoreError | None = None,
    ) -> None:
        self.name = file.name if file is not None else ""
        self.file = self  # pynetdicom flushes through this
        self.refusal = refusal
        self._file = file
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes
        self._size_bytes = 0
        self._next_space_check_bytes = 0
        if refusal is not None:
            self.delete()

    def write(self, data: bytes) -> int:
        """Append to the file, or refuse the data set."""
        self._size_bytes += len(data)
        if self.refusal is None:
            try:
                self._write(data)
            except OSError as error:
                self.refusal = out_of_resources(error)
            except StoreError as refusal:
                self.refusal = refusal
            if self.refusal is not None:
                self.delete()
        return len(data)

    def flush(self) -> None:
        """Nothing to do: the handler sees to it, once for the whole file."""

    def finish(self) -> Path:
        """Bring the last bytes to the file.

        Returns:
            Where the whole file is.

        Raises:
            StoreError: The data set was refused.
        """
        if self.refusal is None and self._file is not None:
            try:
                self._file.file.flush()
            except OSError as error:
                self.refusal = out_of_resources(error)
        if self.refusal is not None:
            raise self.refusal
        return Path(self.name)

    def close(self) -> None:
        """Close the file; pynetdicom deletes it afterwards."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk again: what was not written is refused already
                self._file.close()

    def delete(self) -> None:
        """Close and delete the file."""
        self.close()
        if self.name:
            Path(self.name).unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            return
        if self._size_bytes > self._max_bytes:
            raise StoreError(Status.OUT_OF_RESOURCES, "The data set is larger than this node takes in")
        if self._size_bytes >= self._next_space_check_bytes:
            self._next_space_check_bytes = self._size_bytes + _SPACE_CHECK_BYTES
            if shutil.disk_usage(Path(self.name).parent).free < self._reserve_bytes:
                raise StoreError(Status.OUT_OF_RESOURCES, "The disk is full")
        self._file.write(data)


def out_of_resources(error: OSError) -> StoreError:
    """The refusal that an error of the file system comes to."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(Status.OUT_OF_RESOURCES, "The disk is full")
    return StoreError(Status.OUT_OF_RESOURCES, "The data set cannot be written")


class ProtocolError(Exception):
    """A peer does what no DICOM implementation does; the association is aborted."""


class BoundedMessages(DIMSEServiceProvider):
    """Puts a peer's messages together within bounds.

    Only C-ECHO and C-STORE requests are taken. A data set for which there is no room is swallowed, and its
    request answered by the handler. Anything that no honest peer does aborts the association.

    Args:
        association: The association whose messages these are.
        max_instance_bytes: The largest data set to take in.
        reserve_bytes: Free space to leave on the file system.
    """

    def __init__(self, association: Association, max_instance_bytes: int, reserve_bytes: int) -> None:
        super().__init__(association)
        self._max_instance_bytes = max_instance_bytes
        self._reserve_bytes = reserve_bytes

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take in a P-DATA indication, one presentation data value (PDV) at a time."""
        for context_id, value in primitive.presentation_data_value_list:
            try:
                self._check(context_id, value)
                self._receive_value(context_id, value)
            except (
                Exception
            ) as error:  # whatever it is, the thread must live to abort and close the connection
                reason = str(error) if isinstance(error, ProtocolError) else type(error).__name__
                _log.warning("message_invalid", reason=reason)
                self.dul.event_queue.put("Evt19")
                return

    def discard(self) -> None:
        """Delete the files of messages that nobody will answer: the one on its way, and those in line."""
        message, self.message = self.message, None
        files = [message._data_set_file if message is not None else None]
        while not self.msg_queue.empty():
            _, request = self.msg_queue.get_nowait()
            files.append(getattr(request, "_dataset_file", None))
        for file in files:
            if isinstance(file, IncomingFile):
                file.delete()

    def _check(self, context_id: int, value: bytes) -> None:
        if not value:
            raise ProtocolError("empty PDV")
        if context_id not in self.assoc._accepted_cx:
            raise ProtocolError("PDV on a presentation context that was not accepted")
        data_set_file = self.message._data_set_file if self.message is not None else None
        is_command, is_last = value[0] & 1, value[0] & 2
        if not is_command:
            if data_set_file is None:
                raise ProtocolError("data set that belongs to no C-STORE request")
            return
        if data_set_file is not None:
            raise ProtocolError("command set in the middle of a data set")
        command = (self.message.encoded_command_set.getvalue() if self.message is not None else b"") + value[
            1:
        ]
        if len(command) > MAX_COMMAND_BYTES:
            raise ProtocolError("command set too long")
        if is_last:
            self._check_command(command)

    def _check_command(self, command: bytes) -> None:
        if self.msg_queue.qsize() >= MAX_WAITING_REQUESTS:
            raise ProtocolError("too many requests without waiting for the answers")
        command_field, has_data_set = _read_command(command)
        if (command_field, has_data_set) not in ((_C_STORE_RQ, True), (_C_ECHO_RQ, False)):
            raise ProtocolError(
                f"neither a C-STORE nor a C-ECHO request (command field 0x{command_field:04X})"
            )

    def _receive_value(self, context_id: int, value: bytes) -> None:
        single = P_DATA()
        single.presentation_data_value_list.append((context_id, value))
        refusal = None
        try:
            super().receive_primitive(single)
        except Exception as error:
            if not isinstance(self.message, C_STORE_RQ):
                raise
            refusal = (
                out_of_resources(error)
                if isinstance(error, OSError)
                else StoreError(Status.CANNOT_UNDERSTAND, "The request cannot be understood")
            )
        message = self.message
        if isinstance(message, C_STORE_RQ) and not isinstance(message._data_set_file, IncomingFile):
            incoming = IncomingFile(
                message._data_set_file, self._max_instance_bytes, self._reserve_bytes, refusal
            )
            message._data_set_file = cast("NTF", incoming)


def _read_command(command: bytes) -> tuple[int, bool]:
    """CommandField of an encoded command set, and whether a data set follows it."""
    elements = decode(BytesIO(command), True, True)
    return int(elements.CommandField), int(elements.CommandDataSetType) != _NO_DATA_SET
