"""Flags of `start`, made from the settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from boneage_node.cli.options import with_settings_options
from boneage_node.cli.start import start
from boneage_node.settings import load_settings

FLAGS = [
    "--ae-title",
    "--host",
    "--port",
    "--send-to",
    "--fhir-to",
    "--tls-certificate",
    "--tls-key",
    "--tls-ca",
    "--allow-ae",
    "--allow-address",
    "--open-to-all",
    "--device",
    "--model",
    "--sex-unknown",
    "--data-dir",
    "--database-url",
    "--log-format",
    "--role",
    "--config",
]


def invoke(command: Any, *arguments: str) -> str:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_help_of_start_has_every_flag_and_its_default() -> None:
    shown = invoke(start, "--help")
    assert [flag for flag in FLAGS if f"{flag} " not in shown] == []
    assert "Port to listen on. Default: 11112." in shown
    assert "May be given several times. Default: auto." in shown


def test_flags_come_as_settings_in_sections(tmp_path: Path) -> None:
    taken: dict[str, Any] = {}

    @with_settings_options
    def command(flags: dict[str, Any], role: str = "all") -> None:
        taken.update(flags, role=role)

    invoke(
        command,
        *("--port", "104", "--open-to-all", "--data-dir", str(tmp_path), "--role", "worker"),
        *("--allow-ae", "A", "--allow-ae", "B"),
    )
    assert taken.pop("role") == "worker"
    settings = load_settings(**taken)
    assert (settings.listening.port, settings.listening.open_to_all) == (104, True)
    assert settings.listening.allowed_ae_titles == ("A", "B")
    assert settings.storage.data_dir == tmp_path


def test_a_flag_that_is_not_given_leaves_the_setting_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[str, Any] = {}

    @with_settings_options
    def command(flags: dict[str, Any]) -> None:
        taken.update(flags)

    invoke(command)
    monkeypatch.setenv("BONEAGE_LISTENING_PORT", "2")
    assert load_settings(**taken).listening.port == 2


def test_the_help_of_start_loads_nothing_slow() -> None:
    heavy = "('torch', 'pydicom', 'pynetdicom', 'sqlalchemy', 'httpx', 'numpy')"
    program = (
        "import sys; from boneage_node.cli import app\n"
        "try: app(['start', '--help'])\n"
        f"finally: print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "[]\n"
