"""A command of ``boneage-node`` run in this process, which has loaded torch once: its status and output."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from unittest.mock import patch

import structlog

from boneage_node.cli import main

from .node_process import environment


def run(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; the settings are its whole environment, as in ``node_process.run``."""
    command = ["boneage-node", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        _logging_restored(),
        patch.dict(os.environ, environment(**settings), clear=True),
        patch.object(sys, "argv", command),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


@contextmanager
def _logging_restored() -> Iterator[None]:
    """Undo what a command sets up for the process that it believes its own."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    with (
        patch.object(sys, "excepthook", sys.excepthook),
        patch.object(threading, "excepthook", threading.excepthook),
        patch.object(warnings, "showwarning", warnings.showwarning),
    ):
        try:
            yield
        finally:
            root.handlers = handlers
            root.setLevel(level)
            structlog.reset_defaults()
