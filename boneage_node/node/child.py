"""First steps of every process of the node before its own work, and its messages to the supervisor.

A child ends cleanly on SIGTERM, ignores Ctrl-C (the supervisor passes it on), and ends at once when the
supervisor is gone: all it does is safe to cut off, and an orphan would keep the port from the next node.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from boneage_node.errors import ExitCode, NodeError
from boneage_node.logs import configure_logs, get_logger
from boneage_node.settings import Settings


@dataclass(frozen=True)
class Ready:
    """A child is at work. ``facts``: ``device`` and ``more_devices`` of a worker."""

    facts: dict[str, Any]


@dataclass(frozen=True)
class Alive:
    """A child has come round with its work: it does not hang."""


@dataclass(frozen=True)
class Failed:
    """A child cannot start, and trying again will not help."""

    code: ExitCode
    sentence: str


ALIVE_SECONDS = 10.0
"""Least time between two signs of life."""


@dataclass
class Child:
    """Arguments of a child process besides the settings.

    Attributes:
        name: Name of the process in logs and in leases.
        stop: Set when the process should end its work and return.
    """

    name: str
    connection: Connection
    stop: threading.Event = field(default_factory=threading.Event)
    _said_alive: float = float("-inf")

    def ready(self, **facts: Any) -> None:
        """Tell the supervisor that this process is at work."""
        self.connection.send(Ready(facts))

    def alive(self) -> None:
        """Tell the supervisor that this process does not hang; costs nothing, however often it is called."""
        now = time.monotonic()
        if now - self._said_alive >= ALIVE_SECONDS:
            self._said_alive = now
            self.connection.send(Alive())


def child_main(
    name: str, entry: str, settings: Settings, options: dict[str, Any], connection: Connection
) -> None:
    """Run a child process to its end. The target of ``multiprocessing.Process``.

    Args:
        name: Name of the process.
        entry: ``module:function``, imported here so that the supervisor need not (a worker's pulls in torch).
            Called as ``function(settings, child, **options)``.
        settings: The node's settings.
        options: Further keyword arguments of the function.
        connection: Where `Ready` and `Failed` are sent.
    """
    child = Child(name, connection)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: child.stop.set())
    configure_logs(name, settings.logs)
    _end_with_parent()
    log = get_logger()
    try:
        module, _, function = entry.partition(":")
        run: Callable[..., None] = getattr(importlib.import_module(module), function)
        run(settings, child, **options)
    except NodeError as error:
        connection.send(Failed(error.code, error.sentence))
        sys.exit(error.code)
    except Exception:
        log.exception("process crashed")
        sys.exit(ExitCode.FAILED)
    log.info("process stopped")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(ExitCode.FAILED)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
