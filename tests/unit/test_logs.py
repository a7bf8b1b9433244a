"""Logs say what broke and where, and never what was in it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from textwrap import dedent

import pytest
from support.repository import REPOSITORY

LEVELS = ("debug", "info", "warning", "error", "critical", "exception")

PROGRAM = """
    import logging, sys, threading, warnings
    from boneage_node.logs import LogSettings, configure_logs, get_logger

    configure_logs("worker-0", LogSettings(format=sys.argv[1], level="debug"))

    def break_it():
        raise ValueError("SECRET")

    get_logger().info("job done", job=3)
    try:
        try:
            break_it()
        except ValueError as error:
            raise RuntimeError("SECRET") from error
    except RuntimeError as error:
        get_logger().exception("job failed", job=4)
        get_logger().error("job failed", job=5, exc_info=error)
        logging.getLogger("pynetdicom").exception("SECRET")
        logging.getLogger("anything").error("a library failed", exc_info=True)
    warnings.warn("SECRET")
    logging.getLogger("pydicom").error("SECRET")
    logging.getLogger("httpx").info("GET https://pacs.example/studies?AccessionNumber=SECRET")
    logging.getLogger("highdicom.sr").critical("SECRET")
    thread = threading.Thread(target=break_it)
    thread.start()
    thread.join()
    break_it()
"""


@pytest.fixture(params=["json", "console"])
def output(request: pytest.FixtureRequest) -> str:
    done = subprocess.run(
        [sys.executable, "-c", dedent(PROGRAM), request.param], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


def test_no_text_of_an_exception_or_a_warning_is_written(output: str) -> None:
    assert "SECRET" not in output
    assert "Traceback (most" not in output


def test_what_broke_and_where_is_written(output: str) -> None:
    assert output.count("job failed") == 2
    assert output.count("uncaught exception") == 2
    assert "break_it" in output
    assert "RuntimeError" in output
    assert "UserWarning" in output


def test_json_has_one_object_a_line_and_names_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", dedent(PROGRAM), "json"], capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["process"] for line in lines} == {"worker-0"}
    assert lines[0].items() >= {"event": "job done", "job": 3, "level": "info"}.items()
    failed = next(line for line in lines if line.get("job") == 4)
    assert [link.split()[0] for link in failed["traceback"]] == ["RuntimeError", "ValueError"]


def calls_of_loggers() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a method of a logger in the package, with where it is."""
    for file in sorted((REPOSITORY / "boneage_node").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in LEVELS and "log" in ast.unparse(node.func.value).lower():
                yield f"{file.name}:{node.lineno}", node


def test_events_are_short_plain_phrases() -> None:
    events = {
        (where, str(part.value))
        for where, call in calls_of_loggers()
        for part in ast.walk(call.args[0])
        if isinstance(part, ast.Constant)
    }
    assert len(events) > 30
    assert [event for event in events if not re.fullmatch(r"[A-Za-z][A-Za-z ,]{2,60}", event[1])] == []


def test_one_room_alone_knows_the_library_of_the_logs() -> None:
    files = [file for file in (REPOSITORY / "boneage_node").rglob("*.py") if "structlog" in file.read_text()]
    assert [file.name for file in files] == ["logs.py"]
