"""Locks of the data folder: one receiver and one control work on it, and others can see that they do."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from boneage_node.errors import ExitCode, NodeError

from .opening import unusable

_LOOK_SECONDS = 0.1
"""Longer than `running_receiver` holds a lock."""


class Role(StrEnum):
    """The processes to start: ``all``, or on several machines over one database and spool, a kind each."""

    ALL = "all"
    RECEIVER = "receiver"
    WORKER = "worker"
    CONTROL = "control"


@dataclass(frozen=True)
class Lock:
    """A lock that is held. ``handle`` is the descriptor of its file."""

    handle: int

    def note_port(self, port: int) -> None:
        """Write this process and the port it listens on into the file, for `running_receiver`."""
        os.pwrite(self.handle, f"{os.getpid()} {port}\n".encode(), 0)


@dataclass(frozen=True)
class RunningReceiver:
    """The node that receives for a data folder: its process and its port, None where not known yet."""

    process_id: int | None
    port: int | None


@contextmanager
def lock(data_dir: Path, role: Role) -> Iterator[Lock]:
    """Hold the lock of a role; the kernel lets go of it when this process dies.

    Raises:
        NodeError: The folder cannot be written, or another node holds the lock.
    """
    try:
        handle = os.open(_file(data_dir, role), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unusable(f"The data folder {data_dir}", error) from error
    try:
        try:
            taken = _try(handle) or _try_later(handle)
        except OSError as error:  # a file system without locks
            raise unusable(f"The data folder {data_dir}", error) from error
        if not taken:
            raise NodeError(
                ExitCode.DATA_DIR,
                f"Another node's {role} is using the data folder {data_dir}. Stop it, or name another folder "
                "with --data-dir.",
            )
        os.ftruncate(handle, 0)
        yield Lock(handle)
    finally:
        os.close(handle)


def running_receiver(data_dir: Path) -> RunningReceiver | None:
    """The node that receives for a data folder; None where none does.

    Raises:
        OSError: The folder cannot be looked into.
    """
    noted = _noted_by_holder(data_dir, Role.RECEIVER)
    if noted is None:
        return None
    numbers = [int(word) for word in noted.split()]
    return RunningReceiver(*numbers) if len(numbers) == 2 else RunningReceiver(None, None)


def is_running(data_dir: Path, role: Role) -> bool:
    """Whether a process of this role runs on a data folder; False where that cannot be seen."""
    try:
        return _noted_by_holder(data_dir, role) is not None
    except OSError:
        return False


def _noted_by_holder(data_dir: Path, role: Role) -> bytes | None:
    """What who holds the lock of a role has written into it; None where nobody holds it."""
    try:
        handle = os.open(_file(data_dir, role), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try(handle, fcntl.LOCK_SH) else os.read(handle, 100)
    finally:
        os.close(handle)


def _file(data_dir: Path, role: Role) -> Path:
    return data_dir / f"{role}.lock"


def _try(handle: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_later(handle: int) -> bool:
    """Try once more: who looks whether a node is running takes the lock for a moment."""
    time.sleep(_LOOK_SECONDS)
    return _try(handle)
