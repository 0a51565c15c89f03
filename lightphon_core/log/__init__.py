"""Logging: structlog and the standard library's loggers through one sink on stderr, which redacts.

Whatever looks like a credential is masked in the finished line, so it does not matter how it got there: as a value,
nested, in a URL, in a stack. Tracebacks come without local variables and without the texts of exceptions: either may
hold a prompt. What people read is printable, and one line for each event.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from lightphon_core.log.lines import one_line, without_arguments
from lightphon_core.log.redaction import redact, redact_values
from lightphon_core.log.tracebacks import traceback_without_texts
from lightphon_core.settings import LogSettings

ROOT = "lightphon"


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        # Once more, over the whole line: tracebacks and the repr of objects are only text by now.
        return redact(super().format(record))


class _Handler(logging.Handler):
    """Writes to `stream`, or to what is stderr at that moment: whoever redirects it may close that one again."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            stream = self._stream or sys.stderr
            stream.write(f"{line}\n")
            stream.flush()
        except Exception:  # noqa: BLE001 - whoever logs goes on, whatever becomes of the line
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """Never the standard report, which prints the record's arguments as they are; and never an exception, which
        would end the database's writer where the disk is full that the log is on."""
        with contextlib.suppress(Exception):
            sys.stderr.write(f"A log record of {record.name} could not be written.\n")


def _logger(*names: Any) -> logging.Logger:
    """Every structlog logger is the logger `lightphon`, whose level is the operator's, or one below it."""
    name = str(names[0]) if names else ROOT
    return logging.getLogger(name if name == ROOT or name.startswith(f"{ROOT}.") else f"{ROOT}.{name}")


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (None: stderr). Calling it again replaces what was set before.

    Loggers of the standard library never go below "info", and the ones that show traffic not below "warning": at
    "debug" they write what clients and nodes say to one another, and uvicorn at "info" the query of every WebSocket.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        without_arguments,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(traceback_without_texts),
    ]
    target = stream if stream is not None else sys.stderr
    rendering: list[Processor] = [structlog.processors.JSONRenderer()]
    if settings.format == "console":
        plain = structlog.dev.plain_traceback
        rendering = [
            one_line,
            structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=plain, pad_event_to=0),
        ]
    handler = _Handler(stream)
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact_values, *rendering],
        )
    )
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    level = getattr(logging, settings.level.upper())
    root.setLevel(max(level, logging.INFO))
    logging.getLogger(ROOT).setLevel(level)
    for name in ("alembic", "httpcore", "httpx", "sqlalchemy", "uvicorn.access", "uvicorn.error", "websockets"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        # Its access log has whole URLs; where nothing takes them, it does not even put them together.
        logger.propagate = name != "uvicorn.access"
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=_logger,
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
