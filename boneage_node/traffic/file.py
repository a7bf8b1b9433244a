"""Bytes that cross between rooms: a file that can be opened, wherever it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


class StoredFile(Protocol):
    """A file by handle, not by path: it may be in a folder or in object storage."""

    @property
    def key(self) -> str:
        """Its name in its store; no patient data."""

    def open(self) -> BinaryIO:
        """Open it for reading; the caller closes it.

        Raises:
            OSError: It is not there, or cannot be read.
        """


@dataclass(frozen=True)
class LocalFile:
    """A file of the local file system, such as a person names on the command line.

    Attributes:
        path: Where it is.
    """

    path: Path

    @property
    def key(self) -> str:
        """Its path as text."""
        return str(self.path)

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return self.path.open("rb")
