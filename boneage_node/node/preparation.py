"""Preparation of a node before its processes start: safe settings, data folder, locks, database, port."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path

from boneage_node.errors import ExitCode, NodeError
from boneage_node.net.listening import Listening
from boneage_node.net.tls import check_files
from boneage_node.settings import Settings

from .opening import open_store

QUEUE = 128
"""Connections that may wait while no receiver is there to accept them."""


class Role(StrEnum):
    """The processes to start: ``all``, or on several machines over one database and spool, a kind each."""

    ALL = "all"
    RECEIVER = "receiver"
    WORKER = "worker"
    CONTROL = "control"


@contextmanager
def prepared(settings: Settings, role: Role) -> Iterator[socket.socket | None]:
    """Check everything that can be checked before a process is started, and hold the data folder meanwhile.

    One receiver and one control may work on a data folder, and any number of workers.

    Yields:
        The socket that the receiver is to listen on; None for a role without receiver.

    Raises:
        NodeError: With what is wrong.

    """
    data_dir = settings.storage.data_dir
    single = [one for one in (Role.RECEIVER, Role.CONTROL) if role in (Role.ALL, one)]
    receives = Role.RECEIVER in single
    problem = settings.listening.unsafe() if receives else None
    if problem is not None:
        raise NodeError(ExitCode.UNSAFE, problem)
    if single:
        check_files(settings.tls)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    with ExitStack() as held:
        for one in single:
            held.enter_context(_locked(data_dir / f"{one}.lock", one))
        with open_store(settings.storage, migrate=True) as store:
            if receives:
                store.spool.sweep_incoming(0.0)  # the lock says that no receiver is running
        yield held.enter_context(_listener(settings.listening)) if receives else None


def _listener(listening: Listening) -> socket.socket:
    """A socket that listens; callers wait in its queue until there is a receiver."""
    try:
        listener = listening.bind()
        listener.listen(QUEUE)
    except OSError as error:
        raise NodeError(
            ExitCode.PORT,
            f"{listening.host}:{listening.port} cannot be listened on: {error.strerror}. "
            "Stop what uses the port, or choose another with --port.",
        ) from error
    return listener


@contextmanager
def _locked(file: Path, role: Role) -> Iterator[None]:
    """Hold a lock on a file of the data folder; the kernel lets go of it when this process dies."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(file.parent, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise NodeError(
            ExitCode.DATA_DIR,
            f"Another node's {role} is using the data folder {file.parent}. Stop it, or name another folder "
            "with --data-dir.",
        ) from error
    try:
        yield
    finally:
        os.close(handle)


def _unusable(data_dir: Path, error: OSError) -> NodeError:
    sentence = f"The data folder {data_dir} cannot be used: {error.strerror}. Name another with --data-dir."
    return NodeError(ExitCode.DATA_DIR, sentence)
