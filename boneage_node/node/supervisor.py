"""The supervisor: starts the processes of a node, restarts those that crash, stops them together.

receiver, worker(s) and control share nothing but the database and the spool, so each may crash and come back
on its own. The supervisor holds the listening socket, so that callers wait while a crashed receiver comes
back. This process imports no torch and opens no association.
"""

from __future__ import annotations

import multiprocessing
import signal
import socket
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from boneage_node.errors import NodeError
from boneage_node.logs import get_logger
from boneage_node.settings import Settings

from .child import Failed, Ready, child_main
from .lock import Role
from .preparation import is_listening, listen, prepared

STOP_SECONDS = 25.0
"""Time for the children to end their work on SIGTERM; container engines give 30 s in all."""
RESTART_CAP_SECONDS = 30.0
PATIENCE_SECONDS = 300.0
"""A child that has not come round with its work for so long hangs. What it waits for ends sooner: a locked
or silent database after a minute, a peer after its own time in a thread of its own."""
STEADY_SECONDS = 60.0
"""A child that lived so long is not in a crash loop."""


@dataclass
class _Supervised:
    """One child and what is known of it."""

    name: str
    entry: str
    options: dict[str, Any] = field(default_factory=dict)
    process: SpawnProcess | None = None
    connection: Connection | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    crashes: int = 0
    was_ready: bool = False
    is_ready: bool = False
    patience_seconds: float = PATIENCE_SECONDS
    silent_seconds: float = 0.0
    problem: str | None = None


class Supervisor:
    """Runs a node until it is told to stop.

    Args:
        settings: The node's settings.
        role: Which processes to run.
    """

    def __init__(self, settings: Settings, role: Role = Role.ALL) -> None:
        self._settings = settings
        self._role = role
        self._stopping = False
        self._failure: Failed | None = None
        self._announced = False
        self._facts: dict[str, Any] = {}
        self._children: list[_Supervised] = []
        self._log = get_logger()
        self._context = multiprocessing.get_context("spawn")
        self._listener: socket.socket | None = None
        self._looked_at = time.monotonic()
        if role in (Role.ALL, Role.CONTROL):
            self._children.append(_Supervised("control", "boneage_node.node.control:run"))
        if role in (Role.ALL, Role.WORKER):
            for device in settings.reading.device:
                self._add_worker(device)

    def run(self) -> None:
        """Start the children and watch them until SIGTERM or SIGINT.

        Raises:
            NodeError: Where the node cannot start: the settings, the data folder, the database, the port or
                the model will not do. Everything that had started is stopped by then.

        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        with prepared(self._settings, self._role) as listener:
            if listener is not None:
                self._listener = listener
                self._facts["port"] = listener.getsockname()[1]
                options = {"listener": listener}
                self._children.insert(0, _Supervised("receiver", "boneage_node.node.receiver:run", options))
            try:
                while not self._stopping and self._failure is None:
                    self._start_due()
                    self._listen()
                    self._end_silent()
                    self._reap()
                    self._take_callers()
                    self._announce()
            finally:
                self._stop_all()
        if self._failure is not None:
            raise NodeError(self._failure.code, self._failure.sentence)
        self._log.info("node stopped")

    def _on_signal(self, number: int, _: object) -> None:
        self._stopping = True

    def _add_worker(self, device: str) -> None:
        number = sum(child.name.startswith("worker") for child in self._children)
        options = {"device": device}
        reading = self._settings.reading
        self._children.append(
            _Supervised(
                f"worker-{number}",
                "boneage_node.node.worker:run",
                options,
                patience_seconds=PATIENCE_SECONDS + reading.batch_size * reading.timeout_seconds,
            )
        )

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None and now >= child.restart_at:
                self._start(child)

    def _start(self, child: _Supervised) -> None:
        child.connection, theirs = self._context.Pipe(duplex=False)
        child.process = self._context.Process(
            target=child_main,
            name=child.name,
            args=(child.name, child.entry, self._settings, child.options, theirs),
        )
        # a Ctrl-C while the child's interpreter starts would print its traceback
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            child.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        theirs.close()
        child.started_at = time.monotonic()
        child.silent_seconds = 0.0

    def _listen(self) -> None:
        """Wait for a message, a death or half a second, and take the messages."""
        running = [child for child in self._children if child.process is not None]
        handles: list[Any] = [child.connection for child in running if child.connection is not None]
        handles += [child.process.sentinel for child in running if child.process is not None]
        wait(handles, timeout=0.5)
        for child in running:
            self._take_messages(child)

    def _take_messages(self, child: _Supervised) -> None:
        try:
            while child.connection is not None and child.connection.poll():
                message = child.connection.recv()
                child.silent_seconds = 0.0
                if isinstance(message, Ready):
                    self._on_ready(child, message.facts)
                elif isinstance(message, Failed) and not child.was_ready:
                    self._failure = message
                elif isinstance(message, Failed) and message.sentence != child.problem:
                    child.problem = message.sentence  # said once, however often it is tried
                    self._log.error("process cannot start again", child=child.name, problem=message.sentence)
        except EOFError:
            child.connection = None

    def _on_ready(self, child: _Supervised, facts: dict[str, Any]) -> None:
        if "device" in facts:
            child.options = {"device": facts["device"]}
            if not child.was_ready:
                for device in facts.get("more_devices", ()):
                    self._add_worker(device)
        child.was_ready = child.is_ready = True
        child.problem = None
        assert child.process is not None
        self._log.info("process ready", child=child.name, pid=child.process.pid, **facts)

    def _end_silent(self) -> None:
        """Kill the children that hang; what they do is safe to cut off.

        Their silence is counted in this process's own rounds: where all stood still together (a suspended
        machine, a paused container), none hangs.
        """
        now = time.monotonic()
        elapsed_seconds, self._looked_at = min(now - self._looked_at, 1.0), now
        for child in self._children:
            if child.process is None or not child.is_ready:
                continue
            child.silent_seconds += elapsed_seconds
            if child.silent_seconds > child.patience_seconds:
                self._log.error("process hangs, killing it", child=child.name)
                child.silent_seconds = 0.0
                child.process.kill()

    def _reap(self) -> None:
        """Note the children that died, and when to start them again."""
        for child in self._children:
            if child.process is None or child.process.is_alive():
                continue
            self._take_messages(child)
            lived_seconds = time.monotonic() - child.started_at
            child.crashes = 1 if lived_seconds > STEADY_SECONDS else child.crashes + 1
            wait_seconds = min(RESTART_CAP_SECONDS, 0.5 * 2.0**child.crashes)
            child.restart_at = time.monotonic() + wait_seconds
            code = child.process.exitcode
            child.process.close()
            child.process = None
            child.is_ready = False
            if not self._stopping and self._failure is None:
                self._log.error(
                    "process ended", child=child.name, exit_code=code, restart_in_seconds=wait_seconds
                )

    def _take_callers(self) -> None:
        """Begin to listen once every other process is at work: until then the node may not start at all."""
        if self._listener is None or is_listening(self._listener):
            return
        if all(child.was_ready for child in self._children if child.name != "receiver"):
            listen(self._listener, self._settings.listening)

    def _announce(self) -> None:
        if not self._announced and all(child.was_ready for child in self._children):
            self._announced = True
            self._log.info(
                "node ready",
                ae_title=self._settings.listening.ae_title,
                host=self._settings.listening.host,
                **self._facts,
            )

    def _stop_all(self) -> None:
        if self._listener is not None:
            self._listener.close()  # callers are refused from the moment that the receiver closes its own
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                self._log.error("process does not stop, killing it", child=process.name)
                process.kill()
                process.join()
