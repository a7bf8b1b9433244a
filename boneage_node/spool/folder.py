"""The spool: a folder of files under names of the node's own, written so that a power cut loses none."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from boneage_node.traffic.file import StoredFile

from .spool import Spool, SpoolFull

_NAME = re.compile(r"[0-9a-f]{32}\.(dcm|json)")
_SHARD = re.compile(r"[0-9a-f]{2}")
_FULL = {errno.ENOSPC, errno.EDQUOT}


class _File:
    """A file of the folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def key(self) -> str:
        return self._path.name

    def open(self) -> BinaryIO:
        return self._path.open("rb")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _File) and self._path == other._path

    def __hash__(self) -> int:
        return hash(self._path)

    def __str__(self) -> str:
        return self.key


class FolderSpool(Spool):
    """A spool that is a folder of DICOM files, and of the FHIR Bundles among what is sent.

    No key comes from outside: keys are random names, in 256 subfolders named by their first two digits.

    Args:
        root: The folder; made, readable by this user alone, where it is missing.
        reserve_bytes: What must stay free on the file system for an object to be taken in. The reserve is
            for the database and the reports of what was taken in before.
    """

    def __init__(self, root: Path, reserve_bytes: int = 512 * 2**20) -> None:
        self.root = root
        self.reserve_bytes = reserve_bytes
        self.incoming_dir = root / "incoming"
        """Folder where the receiver writes what is still coming in; on the same file system."""
        for folder in (root, self.incoming_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def require_room(self) -> None:
        """Raise SpoolFull when less than the reserve is free."""
        free = shutil.disk_usage(self.root).free
        if free < self.reserve_bytes:
            raise SpoolFull(
                f"the spool has {free // 2**20} MiB left and keeps {self.reserve_bytes // 2**20} in reserve"
            )

    def keep(self, incoming: Path) -> str:
        """Keep a file by a second name: where the file system has hard links, both are the same file."""
        self.require_room()
        name = _new_name()
        path = self._shard(name) / name
        with _nothing_left_on_failure(path):
            try:
                path.hardlink_to(incoming)
            except OSError as error:
                # File systems without hard links (EPERM, EOPNOTSUPP), or a folder mounted apart (EXDEV).
                if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK}:
                    raise
                with incoming.open("rb") as source, path.open("xb") as target:
                    shutil.copyfileobj(source, target, 2**20)
            _sync(path)
            _sync(path.parent)
        return name

    def write(self, data: bytes, suffix: str = ".dcm") -> str:
        """Write a file and bring it, and its folder, to disk."""
        name = _new_name(suffix)
        path = self._shard(name) / name
        with _nothing_left_on_failure(path):
            with path.open("xb") as file:
                file.write(data)
            _sync(path)
            _sync(path.parent)
        return name

    def path(self, key: str) -> Path:
        """Path of a file; for this room and for administrators.

        Raises:
            ValueError: That is no key of a spool.
        """
        if not _NAME.fullmatch(key):
            raise ValueError("not a key of the spool")
        return self.root / key[:2] / key

    def file(self, key: str) -> StoredFile:
        """The file of a key."""
        return _File(self.path(key))

    def holds(self, key: str, size_bytes: int) -> bool:
        """Tell whether a file is here in its full length."""
        try:
            return self.path(key).stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def discard(self, key: str) -> None:
        """Remove a file; nothing happens where it is gone already."""
        self.path(key).unlink(missing_ok=True)

    def keys(self, older_than_seconds: float) -> Iterator[str]:
        """Keys of all files that were put here at least this long ago."""
        latest = time.time() - older_than_seconds
        for shard in sorted(self.root.iterdir()):
            if not _SHARD.fullmatch(shard.name):
                continue
            for path in shard.iterdir():
                # A hard link keeps the time of writing; the time of the inode's change is that of the link.
                if _NAME.fullmatch(path.name) and _changed_at(path) <= latest:
                    yield path.name

    def sweep_incoming(self, older_than_seconds: float = 600.0) -> int:
        """Remove partial files of this age."""
        latest = time.time() - older_than_seconds
        removed = 0
        for path in self.incoming_dir.iterdir():
            if _changed_at(path) <= latest:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _shard(self, name: str) -> Path:
        shard = self.root / name[:2]
        if not shard.is_dir():
            shard.mkdir(mode=0o700, exist_ok=True)
            _sync(self.root)
        return shard


def _new_name(suffix: str = ".dcm") -> str:
    return f"{uuid.uuid4().hex}{suffix}"


def _changed_at(path: Path) -> float:
    """Time of the inode's last change, in seconds since the epoch; never, for a file that has just gone."""
    with suppress(FileNotFoundError):
        return path.stat().st_ctime
    return float("inf")


def _sync(path: Path) -> None:
    """Bring a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _nothing_left_on_failure(path: Path) -> Iterator[None]:
    """Remove a file that could not be written whole, and call a full disk by its name."""
    try:
        yield
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise SpoolFull("the spool's file system is full") from error
        raise
