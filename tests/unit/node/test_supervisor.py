"""The supervisor's care for processes that hang."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.waiting import eventually

from boneage_node.node.lock import Role
from boneage_node.node.supervisor import Supervisor, _Supervised
from boneage_node.settings import load_settings


def test_a_process_that_does_not_come_round_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boneage_node.node.supervisor.signal.signal", lambda *_: signal.SIG_DFL)
    supervisor = Supervisor(load_settings(storage={"data_dir": tmp_path}), Role.CONTROL)
    child = _Supervised("hanging", "support.hanging:run", patience_seconds=0.5)
    supervisor._children = [child]

    with capture_logs() as logged:

        def stop_when_started_again() -> None:
            eventually(lambda: [line["event"] for line in logged].count("process ready") == 2)
            supervisor._on_signal(signal.SIGTERM, None)

        watcher = threading.Thread(target=stop_when_started_again)
        watcher.start()
        supervisor.run()
        watcher.join()
    told = [line["event"] for line in logged if line["event"].startswith("process")]
    assert told[:4] == ["process ready", "process hangs, killing it", "process ended", "process ready"]
