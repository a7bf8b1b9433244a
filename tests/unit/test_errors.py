"""Exit statuses: what the help, the documents and the unit say of them."""

from __future__ import annotations

import configparser
import re

from support.command_line import run
from support.repository import REPOSITORY

from boneage_node.errors import ExitCode


def test_the_unit_repeats_no_start_that_a_repetition_does_not_mend() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign, assignment]
    unit.read(REPOSITORY / "deploy" / "boneage-node.service")
    final = {code for code in ExitCode if code is not ExitCode.OK and not code.may_mend_itself}
    assert {int(code) for code in unit["Service"]["RestartPreventExitStatus"].split()} == final
    assert unit["Service"]["Restart"] == "on-failure"
    assert int(unit["Service"]["RestartSec"]) >= 1
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"


def test_the_help_of_start_names_every_exit_status() -> None:
    said = run("start", "--help").stdout
    (statuses,) = re.findall(r"Exit status:(.*?)╭", said, re.DOTALL)
    assert set(map(int, re.findall(r"\b(\d)\b", statuses))) == set(ExitCode)


def test_the_documents_have_every_exit_status() -> None:
    rows = re.findall(
        r"^\| (\d) \| .+? \| (yes|no) \|$", (REPOSITORY / "docs/how-it-works.md").read_text(), re.M
    )
    assert {int(code): again == "yes" for code, again in rows} == {
        int(code): code.may_mend_itself for code in ExitCode if code is not ExitCode.OK
    }
