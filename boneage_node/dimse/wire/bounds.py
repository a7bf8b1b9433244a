"""Bounds on what a peer can make pynetdicom hold: bytes of a PDU, a message and a file, and requests in line.

pynetdicom 3.0 trusts the lengths that a peer announces, and keeps all that it sends until a message is
complete. :class:`~.transport.BoundedSocket` and :class:`~.messages.BoundedMessages` take the places of its
socket and its DIMSE provider in an accepted association.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from boneage_node.dimse.status import RequestError, Status

if TYPE_CHECKING:
    from pynetdicom.dimse_primitives import C_STORE, NTF

MAX_PDU_BYTES = 2**20
"""The longest PDU the receiver announces that it takes, and takes.

Longer ones bring no more speed (see benchmarks/receive.py), and each association must be able to hold a few.
"""
_SPACE_CHECK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds of a receiver; none of them is a setting.

    Attributes:
        request_timeout_seconds: A connection that has sent no complete association request by then is closed.
        max_instance_bytes: Data sets larger than this are refused.
        reserve_bytes: Space on the incoming folder's file system below which nothing is taken in.
    """

    request_timeout_seconds: float = 15.0
    max_instance_bytes: int = 512 * 2**20
    reserve_bytes: int = 512 * 2**20


class IncomingFile:
    """The temporary file of a data set on its way in, which stops growing when there is no room for it.

    It stands where pynetdicom keeps its own (``write``, ``file.flush``, ``close`` and ``name`` are what it
    uses). Once :attr:`refusal` is set, the rest of the data set is swallowed, so that the peer gets its
    answer.

    Args:
        file: The temporary file as pynetdicom made it, or None where it could not be made.
        limits: Largest data set, and free space to leave on the file system.
        refusal: Why the data set is refused from the start.
    """

    def __init__(self, file: NTF | None, limits: Limits, refusal: RequestError | None = None) -> None:
        self.name = file.name if file is not None else ""
        self.file = self  # pynetdicom flushes through this
        self.refusal = refusal
        self._file = file
        self._limits = limits
        self._size_bytes = 0
        self._next_space_check_bytes = 0
        if refusal is not None:
            self.delete()

    @classmethod
    def of(cls, request: C_STORE) -> Self:
        """The file of a request that `BoundedMessages` has taken in."""
        return cast(Self, request._dataset_file)

    def refuse(self, refusal: RequestError) -> None:
        """Refuse the data set, unless it is refused already."""
        self.refusal = self.refusal or refusal
        self.delete()

    def write(self, data: bytes) -> int:
        """Append to the file, or refuse the data set."""
        self._size_bytes += len(data)
        if self.refusal is None:
            try:
                self._write(data)
            except OSError as error:
                self.refuse(out_of_resources(error))
            except RequestError as refusal:
                self.refuse(refusal)
        return len(data)

    def flush(self) -> None:
        """Nothing to do: the handler sees to it, once for the whole file."""

    def finish(self) -> Path:
        """Bring the last bytes to the file.

        Returns:
            Where the whole file is.

        Raises:
            RequestError: The data set was refused.
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
        if self._size_bytes > self._limits.max_instance_bytes:
            raise RequestError(Status.OUT_OF_RESOURCES, "The data set is larger than this node takes in")
        if self._size_bytes >= self._next_space_check_bytes:
            self._next_space_check_bytes = self._size_bytes + _SPACE_CHECK_BYTES
            if shutil.disk_usage(Path(self.name).parent).free < self._limits.reserve_bytes:
                raise RequestError(Status.OUT_OF_RESOURCES, "The disk is full")
        self._file.write(data)


def out_of_resources(error: OSError) -> RequestError:
    """The refusal that an error of the file system comes to."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RequestError(Status.OUT_OF_RESOURCES, "The disk is full")
    return RequestError(Status.OUT_OF_RESOURCES, "The data set cannot be written")


class BoundedBytes(BytesIO):
    """A data set in memory that stops growing: the rest is swallowed, so that the peer gets its answer."""

    MAX_BYTES = 512 * 2**10
    """2,000 references of the longest UIDs take less."""

    too_long = False

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # a part of what BytesIO takes
        """Append, or drop."""
        if self.tell() + len(data) > self.MAX_BYTES:
            self.too_long = True
        else:
            super().write(data)
        return len(data)
