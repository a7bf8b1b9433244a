"""Interface of a spool, which keeps the files that the node has received or made, by key."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from boneage_node.errors import BoneAgeError
from boneage_node.traffic.file import StoredFile


class SpoolFull(BoneAgeError, OSError):  # noqa: N818 - reads as the sentence it is
    """There is no room; an OSError with errno ENOSPC, so that a caller need not know this room."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.ENOSPC, message)


class Spool(Protocol):
    """Keeps files under keys of its own, in a folder or elsewhere: nothing outside it knows a path.

    Attributes:
        incoming_dir: Local folder where the receiver writes what is still coming in.
        reserve_bytes: What must stay free for an object to be taken in.
    """

    incoming_dir: Path
    reserve_bytes: int

    def require_room(self) -> None:
        """Raise SpoolFull when less than the reserve is free."""

    def keep(self, incoming: Path) -> str:
        """Keep a whole, flushed file of ``incoming_dir``, which stays the caller's to remove; gives its key.

        When this returns, the file survives a power cut. The caller does not write to it any more.

        Raises:
            SpoolFull: Less than the reserve is free.
        """

    def write(self, data: bytes, suffix: str = ".dcm") -> str:
        """Write a report of the node's, ``.dcm`` or ``.json``, which may use the reserve; gives its key.

        When this returns, it survives a power cut.

        Raises:
            SpoolFull: There is no room at all.
        """

    def file(self, key: str) -> StoredFile:
        """The file of a key, whether it is there or not.

        Raises:
            ValueError: That is no key of a spool.
        """

    def holds(self, key: str, size_bytes: int) -> bool:
        """Tell whether a file is here in its full length."""

    def discard(self, key: str) -> None:
        """Remove a file; nothing happens where it is gone already."""

    def keys(self) -> Iterator[str]:
        """Keys of all files; slow."""

    def sweep_incoming(self, older_than_seconds: float = 600.0) -> int:
        """Remove partial files that dead senders, or a receiver killed, have left; returns how many.

        A file is that of a dead sender when it has stood here without change for longer than a connection
        may be silent, by the watch of this process: a clock that is set makes no file old.
        """
