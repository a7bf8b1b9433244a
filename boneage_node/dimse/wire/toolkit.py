"""Configuration of pynetdicom and pydicom for the whole process."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pydicom.config
from pynetdicom import _config, timer
from pynetdicom.presentation import PresentationContext

from boneage_node.logs import get_logger

_log = get_logger()


class _WhereOnly(logging.Handler):
    """Passes pynetdicom's complaints on without their text, which may quote what a peer sent."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        _log.debug("pynetdicom", where=f"{record.module}:{record.lineno}", error=error)


def configure_pynetdicom() -> None:
    """Receive into files, send from files, time by a clock that nobody sets, and log no message's content.

    And take any context id: even ones, which pynetdicom does not take, are as good as odd ones to others.
    """
    # Its timers ask for the time of day: a clock set forward would end every association, one set back none.
    timer.time = SimpleNamespace(time=time.monotonic)  # type: ignore[assignment, attr-defined]
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    PresentationContext.context_id = property(  # type: ignore[assignment]
        lambda context: context._context_id, lambda context, value: setattr(context, "_context_id", value)
    )
    # pynetdicom decodes what it would log, in the character set that the peer tells, even if it logs nothing
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    logger = logging.getLogger("pynetdicom")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.handlers = [_WhereOnly()]


@contextmanager
def receiving_process(incoming_dir: Path) -> Iterator[None]:
    """Let temporary files be made in a folder, and bad values in headers pass without a word.

    pynetdicom writes what it receives where :mod:`tempfile` says. pydicom, left alone, warns about a value
    that breaks its rules and quotes it, in the log and on stderr; the receiver checks the few that it uses.
    """
    previous, tempfile.tempdir = tempfile.tempdir, str(incoming_dir)
    try:
        with pydicom.config.disable_value_validation():
            yield
    finally:
        tempfile.tempdir = previous
