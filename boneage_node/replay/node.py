"""A whole temporary node, to play studies through: its own folder, a free port, loopback only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from boneage_node.errors import ExitCode, NodeError
from boneage_node.net.addresses import Station
from boneage_node.reading.settings import SexUnknown
from boneage_node.settings import ENVIRONMENT_PREFIX
from boneage_node.store import NoSuchStudy, Status, Store, StudyDetail, StudyState

START_SECONDS = 120.0
STALL_SECONDS = 180.0
"""Time without progress after which the node is given up."""

_AT_REST = (StudyState.REPORTED, StudyState.REFUSED, StudyState.SET_ASIDE)


class TemporaryNode:
    """A node of its own, in a process of its own; gone when the block is left.

    Args:
        folder: Where it keeps its database, its spool and its log.
        send_to: Where its reports go.
        model: Model to read with; None for the default.
        device: Where to read.
        sex_unknown: As the setting of that name.
    """

    def __init__(
        self,
        folder: Path,
        send_to: Station,
        model: str | None,
        device: str,
        sex_unknown: SexUnknown = "refuse",
    ) -> None:
        self._data_dir = folder / "node"
        self._log_file = folder / "node.log"
        flags = [
            "--port",
            "0",
            "--data-dir",
            str(self._data_dir),
            "--send-to",
            str(send_to),
            "--log-format",
            "json",
            "--sex-unknown",
            sex_unknown,
        ]
        flags += ["--device", device, *(["--model", model] if model else [])]
        self._command = [sys.executable, "-m", "boneage_node", "start", *flags]
        self._process: subprocess.Popen[bytes] | None = None
        self.destination = Station("BONEAGE", "127.0.0.1", 0)

    def __enter__(self) -> Self:
        # The settings of the real node must not reach this one.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ENVIRONMENT_PREFIX)}
        # A study comes whole, over one association.
        environment[f"{ENVIRONMENT_PREFIX}READING_RELEASE_QUIET_SECONDS"] = "0"
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(self._command, stderr=log, env=environment)
        try:
            port = self._wait_for_port()
        except BaseException:
            self._stop()
            raise
        self.destination = Station("BONEAGE", "127.0.0.1", port)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def wait_for(
        self, study_instance_uids: Sequence[str], progress: Callable[[int], None]
    ) -> list[StudyDetail]:
        """Wait until every study has come to its end and its reports have left; ``progress(done)`` counts.

        Raises:
            NodeError: The node died, or nothing happens any more.
        """
        with Store.open(
            f"sqlite:///{self._data_dir / 'boneage.sqlite3'}", self._data_dir / "spool", migrate=False
        ) as store:
            done, deadline = -1, time.monotonic() + STALL_SECONDS
            while True:
                details = [detail for uid in study_instance_uids if (detail := _ended(store, uid))]
                if len(details) > done:
                    done, deadline = len(details), time.monotonic() + STALL_SECONDS
                    progress(done)
                if done == len(study_instance_uids):
                    return details
                if time.monotonic() > deadline:
                    raise NodeError(ExitCode.FAILED, f"The node has stopped getting on.{self._log_tail()}")
                self._require_running()
                time.sleep(0.1)

    def _wait_for_port(self) -> int:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for line in self._log_file.read_text().splitlines():
                if line.startswith("{") and (event := json.loads(line)).get("event") == "node ready":
                    return int(event["port"])
            self._require_running()
            time.sleep(0.05)
        raise NodeError(
            ExitCode.FAILED, f"The node did not start within {START_SECONDS:.0f} s.{self._log_tail()}"
        )

    def _require_running(self) -> None:
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            raise NodeError(ExitCode.FAILED, f"The node ended with exit status {code}.{self._log_tail()}")

    def _log_tail(self) -> str:
        return "\n" + "\n".join(self._log_file.read_text().splitlines()[-5:])

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


def _ended(store: Store, study_instance_uid: str) -> StudyDetail | None:
    """The study, where it is at rest and nothing of it waits to be delivered."""
    try:
        detail = store.studies.show(study_instance_uid)
    except NoSuchStudy:
        return None
    under_way = any(delivery.status in (Status.TODO, Status.DOING) for delivery in detail.deliveries)
    return detail if detail.state in _AT_REST and not under_way else None
