"""pynetdicom's configuration, which it keeps for the whole process: the same for receiver and sender."""

from __future__ import annotations

import logging

import structlog
from pynetdicom import _config

_log = structlog.get_logger(__name__)


class _WhereOnly(logging.Handler):
    """Passes pynetdicom's complaints on without their text, which may quote what a peer sent."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        _log.debug("pynetdicom", where=f"{record.module}:{record.lineno}", error=error)


def configure_pynetdicom() -> None:
    """Receive into files, send from files, and log no PDU, no message and no data set."""
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    logger = logging.getLogger("pynetdicom")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.handlers = [_WhereOnly()]
