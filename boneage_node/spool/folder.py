"""The spool: a folder of files under names of the node's own, written so that a power cut loses none."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from boneage_node.traffic.file import StoredFile

from .seen import Seen
from .spool import Spool, SpoolFull

_NAME = re.compile(r"[0-9a-f]{32}\.(dcm|json)")
_SHARD = re.compile(r"[0-9a-f]{2}")


class _File:
    """A file of the folder; no dataclass, so that what is printed of it is its key."""

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
        make: False leaves the disk alone, for who only looks.
        reserve_bytes: What must stay free on the file system for an object to be taken in. The reserve is
            for the database and the reports of what was taken in before.
    """

    def __init__(self, root: Path, reserve_bytes: int, *, make: bool = True) -> None:
        self.root = root
        self.reserve_bytes = reserve_bytes
        self.incoming_dir = root / "incoming"
        """Folder where the receiver writes what is still coming in; on the same file system."""
        self._partial: Seen[tuple[str, int]] = Seen()
        for folder in (root, self.incoming_dir) if make else ():
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
        with self._new_file(".dcm") as path:
            try:
                path.hardlink_to(incoming)
            except OSError as error:
                # File systems without hard links (EPERM, EOPNOTSUPP), or a folder mounted apart (EXDEV).
                if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK}:
                    raise
                shutil.copyfile(incoming, path)
        return path.name

    def write(self, data: bytes, suffix: str = ".dcm") -> str:
        """Write a file and bring it, and its folder, to disk."""
        with self._new_file(suffix) as path:
            path.write_bytes(data)
        return path.name

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

    def keys(self) -> Iterator[str]:
        """Keys of all files."""
        for shard in sorted(self.root.iterdir()):
            if _SHARD.fullmatch(shard.name):
                yield from (path.name for path in shard.iterdir() if _NAME.fullmatch(path.name))

    def sweep_incoming(self, older_than_seconds: float = 600.0) -> int:
        """Remove partial files that have stood here unchanged for so long."""
        partial = {(path.name, _changed_at_ns(path)) for path in self.incoming_dir.iterdir()}
        old = self._partial.older_than(older_than_seconds, partial)
        for name, _ in old:
            (self.incoming_dir / name).unlink(missing_ok=True)
        return len(old)

    @contextmanager
    def _new_file(self, suffix: str) -> Iterator[Path]:
        """Path of a new file, brought to disk with its folder; removed where it cannot be written whole."""
        name = f"{uuid.uuid4().hex}{suffix}"
        shard = self.root / name[:2]
        try:
            if not shard.is_dir():
                shard.mkdir(mode=0o700, exist_ok=True)
                _sync(self.root)
            yield shard / name
            _sync(shard / name)
            _sync(shard)
        except OSError as error:
            (shard / name).unlink(missing_ok=True)
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise SpoolFull("the spool's file system is full") from error
            raise


def _changed_at_ns(path: Path) -> int:
    """Time of the inode's last change, which tells one state of a file from another; 0 where it is gone."""
    with suppress(FileNotFoundError):
        return path.stat().st_ctime_ns
    return 0


def _sync(path: Path) -> None:
    """Bring a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
