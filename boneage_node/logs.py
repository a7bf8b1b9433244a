"""Logs without patient data: one line an event, to standard error.

Our own rooms log words, ids of the node's own and counts. What libraries log is the danger: texts of
exceptions and of warnings of pydicom, highdicom or a database driver may quote header values. So of an
exception only its class and its frames (file, line, function) are ever written, and libraries that handle
headers are silenced.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO, cast

import structlog
from pydantic import BaseModel, Field

_QUOTE_HEADERS = ("pydicom", "highdicom", "PIL", "gdcm", "httpx", "httpcore", "python_multipart")
"""Loggers that may quote header values (those of HTTP as parts of URLs), hence are never heard."""
_TALKATIVE = ("pynetdicom", "alembic", "sqlalchemy")
"""Loggers of libraries that report ordinary work; only their warnings are heard."""


class LogSettings(BaseModel, frozen=True, extra="forbid"):
    """Level and form of the log."""

    format: Literal["auto", "console", "json"] = Field(
        "auto",
        description="`json`, `console`, or `auto`: console on a terminal, else JSON.",
        json_schema_extra={"flag": "--log-format", "help": "json, console or auto."},
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important lines to log: debug, info, warning or error."
    )

    def is_json(self, stream: TextIO) -> bool:
        """Whether lines to this stream are JSON."""
        return self.format == "json" or (self.format == "auto" and not stream.isatty())


def describe_exception(error: BaseException) -> list[str]:
    """Return the class and the frames of an exception and of what it came from, innermost frame last.

    The text of the exception is left out: it may quote header values.
    """
    lines: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = [
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(link.__traceback__)
        ]
        lines.append(f"{class_name(link)} at " + " > ".join(frames) if frames else class_name(link))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return lines


def class_name(error: BaseException) -> str:
    """Return the name of an exception's class with its module, ``sqlalchemy.exc.OperationalError``."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def configure_logs(process: str, settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set up all logging of this process, ours and the libraries'.

    Args:
        process: Name of the process, in every line: node, receiver, worker-0, control.
        settings: Form, and the least important level that is written.
        stream: Where to write; standard error unless given.

    """
    stream = stream or sys.stderr
    shared: list[structlog.types.Processor] = [
        _naming(process),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_exception_text,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.is_json(stream)
        else structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for name in _QUOTE_HEADERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    _catch_the_rest()


def get_logger() -> structlog.stdlib.BoundLogger:
    """Return the logger of the process."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger())


def _naming(process: str) -> structlog.types.Processor:
    def name_process(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    return name_process


def _without_exception_text(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace ``exc_info`` by class and frames, and the text too where a library logged the exception's."""
    exc_info = event.pop("exc_info", None)
    record = event.get("_record")
    if exc_info is None and record is not None:
        exc_info = record.exc_info
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info if isinstance(exc_info, BaseException) else exc_info[1] if exc_info else None
    if error is not None:
        event["traceback"] = describe_exception(error)
        if record is not None:
            event["event"] = class_name(error)
    if record is not None:
        # else the standard formatter would write the traceback, text and all, below the line
        record.exc_info = record.exc_text = record.stack_info = None
    return event


def _catch_the_rest() -> None:
    """Log, without their texts, the warnings and the exceptions that nobody caught."""
    log = get_logger()

    def showwarning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        log.debug("warning", category=category.__name__, where=f"{Path(filename).name}:{lineno}")

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("uncaught exception", exc_info=error)

    def thread_excepthook(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            log.critical("uncaught exception in a thread", exc_info=args.exc_value)

    warnings.showwarning = showwarning
    sys.excepthook = excepthook
    threading.excepthook = thread_excepthook


class Trouble:
    """Something that may go wrong again and again: one line when it begins, one when it is over.

    It is over when it has gone well for a while, which doubles, up to ten minutes, each time that it comes
    back within an hour: what comes and goes in turn fills no log. Safe to use from several threads.

    Args:
        began: The event logged when it begins.
        over: The event logged when it is over, with how long it lasted and how often it was met.
        level: As what it is logged when it begins.
        clock: Seconds that only go forward; replaced by tests.
    """

    STEADY_SECONDS = 5.0
    """How long it goes well before it is over, the first time."""
    _STEADY_SECONDS_MAX = 600.0
    _FORGOTTEN_SECONDS = 3600.0

    def __init__(
        self,
        began: str,
        over: str,
        *,
        level: Literal["warning", "error"] = "error",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._began, self._over = began, over
        self._level = level
        self._clock = clock
        self._lock = threading.Lock()
        self._steady_seconds = self.STEADY_SECONDS
        self._since: float | None = None
        self._last = float("-inf")
        self._times = 0

    @property
    def lasts(self) -> bool:
        """Whether it has begun and is not over."""
        return self._since is not None

    def met(self, **facts: Any) -> None:
        """Note that it went wrong; ``facts`` are logged where it begins."""
        with self._lock:
            now = self._clock()
            if self._since is None:
                relapse = now - self._last < self._FORGOTTEN_SECONDS
                longer = min(2 * self._steady_seconds, self._STEADY_SECONDS_MAX)
                self._steady_seconds = longer if relapse else self.STEADY_SECONDS
                self._since, self._times = now, 0
                getattr(get_logger(), self._level)(self._began, **facts)
            self._last = now
            self._times += 1

    def well(self, **facts: Any) -> None:
        """Note that it went well; ``facts`` are logged where it is over."""
        with self._lock:
            now = self._clock()
            if self._since is not None and now - self._last >= self._steady_seconds:
                lasted = round(self._last - self._since, 1)
                get_logger().info(self._over, **facts, seconds=lasted, times=self._times)
                self._since = None
