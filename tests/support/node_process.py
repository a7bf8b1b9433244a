"""A node as users run it: ``boneage-node start`` in a process of its own, its log at hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .waiting import PATIENCE_SECONDS, eventually

COMMAND = [sys.executable, "-m", "boneage_node"]


def environment(**settings: str) -> dict[str, str]:
    """The environment of a node: the settings given, no wait after a release, one thread a process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BONEAGE_")}
    return (
        clean
        | {"OMP_NUM_THREADS": "1", "BONEAGE_READING_RELEASE_QUIET_SECONDS": "0"}
        | {f"BONEAGE_{name.upper()}": value for name, value in settings.items()}
    )


def run(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ``boneage-node`` to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=environment(**settings),
    )


class NodeProcess:
    """A node on loopback with a free port.

    Args:
        folder: Its data folder, which outlives it.
        arguments: Further flags of ``start``.
        machine: Further variables of its environment.
        settings: Settings by environment.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        machine: Mapping[str, str] = MappingProxyType({}),
        **settings: str,
    ) -> None:
        self.folder = folder
        self.log_file = folder.with_suffix(".log")
        self._skip = self.log_file.stat().st_size if self.log_file.exists() else 0
        flags = [
            "start",
            "--port",
            "0",
            "--data-dir",
            folder,
            "--log-format",
            "json",
            "--device",
            "cpu",
            *arguments,
        ]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *map(str, flags)],
                stderr=log,
                env=environment(**settings) | dict(machine),
                start_new_session=True,
            )
        self.port = int(eventually(self._ready)["port"])

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.terminate()

    def log(self) -> list[dict[str, Any]]:
        """What this start of the node has logged."""
        text = self.log_file.read_bytes()[self._skip :].decode()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def studies(self) -> list[dict[str, Any]]:
        """What ``boneage-node studies list --json`` prints."""
        listed = run("studies", "list", "--json", "--data-dir", self.folder)
        assert listed.returncode == 0, listed.stderr
        return [json.loads(line) for line in listed.stdout.splitlines()]

    def process_ids(self) -> dict[str, int]:
        """The child processes by name."""
        return {line["child"]: line["pid"] for line in self.log() if line.get("event") == "process ready"}

    def terminate(self) -> int:
        """Stop it as an init system does; gives the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _ready(self) -> dict[str, Any] | None:
        if self.process.poll() is not None:
            raise AssertionError(
                f"the node ended with {self.process.returncode}:\n{self.log_file.read_text()}"
            )
        return next((line for line in self.log() if line.get("event") == "node ready"), None)
