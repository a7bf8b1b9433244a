"""Preparation of a node before its processes start: settings, model, data folder, locks, database, port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from boneage_node.errors import ExitCode, NodeError
from boneage_node.net.listening import Listening
from boneage_node.net.tls import check_files
from boneage_node.reading.settings import ReadingSettings
from boneage_node.settings import Settings
from boneage_node.spool import Spool

from .lock import Role, lock
from .opening import open_store, unusable

QUEUE = 128
"""Connections that may wait while no receiver is there to accept them."""


@contextmanager
def prepared(settings: Settings, role: Role) -> Iterator[socket.socket | None]:
    """Check everything that can be checked before a process is started, and hold the data folder meanwhile.

    One receiver and one control may work on a data folder, and any number of workers.

    Yields:
        The socket that the receiver is to listen on, bound; None for a role without receiver. Who calls is
        refused until `listen`.

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
    if role in (Role.ALL, Role.WORKER):
        _check_model(settings.reading)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(f"The data folder {data_dir}", error) from error
    with ExitStack() as held:
        locks = {one: held.enter_context(lock(data_dir, one)) for one in single}
        with open_store(settings.storage, migrate=True) as store:
            _check_spool(store.spool)
            if receives:
                store.spool.sweep_incoming(0.0)  # the lock says that no receiver is running
        listener = None
        if receives:
            listener = held.enter_context(_bound(settings.listening))
            locks[Role.RECEIVER].note_port(listener.getsockname()[1])
        yield listener


def listen(listener: socket.socket, listening: Listening) -> None:
    """Begin to listen: from here on callers wait in the socket's queue until a receiver takes them.

    Raises:
        NodeError: Another program has begun to listen there meanwhile.
    """
    try:
        listener.listen(QUEUE)
    except OSError as error:
        raise NodeError(ExitCode.PORT, listening.problem(error)) from error


def is_listening(listener: socket.socket) -> bool:
    """Whether a process that holds this socket, any of them, has begun to listen."""
    return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _bound(listening: Listening) -> socket.socket:
    try:
        return listening.bind()
    except OSError as error:
        raise NodeError(ExitCode.PORT, listening.problem(error)) from error


def _check_model(reading: ReadingSettings) -> None:
    """Check the model's files. Whether its devices are there is for the workers to say, which load torch."""
    from boneage_node.bone_age import model_zoo
    from boneage_node.bone_age.manifest import ModelError, read_manifest, verified_weights

    try:
        folder = model_zoo.model_dir(reading.model)
        verified_weights(folder, read_manifest(folder))
    except ModelError as error:
        raise NodeError(ExitCode.MODEL, f"{error}.") from error


def _check_spool(spool: Spool) -> None:
    """Check that the spool can be written. A full disk is none of a start's business: it may be emptied."""
    try:
        spool.discard(spool.write(b""))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise unusable(f"The spool ({error.filename or 'in the data folder'})", error) from error
