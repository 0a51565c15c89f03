"""Logging: structlog and the standard library's loggers through one sink on stderr, which redacts.

Whatever looks like a credential is masked in the finished line, so it does not matter how it got there: as a value,
nested, in a URL, in a stack. Tracebacks come without local variables and without the texts of exceptions: either may
hold a prompt.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from lightphon_core.errors import ConfigurationError
from lightphon_core.settings import LogSettings

ROOT = "lightphon"
MASK = "[redacted]"

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Our own keys and tokens (accounts/secrets.py, sessions.py, invites.py), cut short or misspelt ones too.
    (re.compile(r"(?<![A-Za-z0-9])(lp|at|np|ls|li)_[A-Za-z0-9]{10}[A-Za-z0-9_-]*"), rf"\1_{MASK}"),
    # Whatever stands where an agent token belongs, but for what the access log has there.
    (re.compile(r"(/api/agent/)(?!\[|\{token\}/|-/)[^/\s\"'?#\\]+"), rf"\1{MASK}"),
    # An Authorization header in any notation: as text, JSON, a dict or a pair of bytes.
    (
        re.compile(
            r"(?i)(authorization\b[\"']?\s*[:=,]\s*(?:b?[\"'])?+)(?:(?:bearer|basic)\s+)?(?!\[)[^\s\"'\\,)\]}]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}"), rf"\1 {MASK}"),
    # The password in a URL.
    (re.compile(r"(://[^/\s:@\"']*:)[^/\s@\"']+(?=@)"), rf"\1{MASK}"),
)

_SECRET_KEYS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "api_key",
        "secret",
        "token",
        "password",
    }
)


def redact(text: str) -> str:
    """`text` with everything in it that looks like a credential masked."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def redact_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A structlog processor: masks the values of keys that name a secret, and credentials in text, however nested."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: object, value: Any) -> Any:
    name = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    if name.lower() in _SECRET_KEYS and value is not None:
        return MASK
    match value:
        case str():
            return redact(value)
        case bytes():
            return redact(value.decode("latin-1"))
        case Mapping():
            return {inner: _redacted(inner, element) for inner, element in value.items()}
        case (str() | bytes() as header, content) if isinstance(value, tuple):
            return (header, _redacted(header, content))
        case list() | tuple() | set() | frozenset():
            return [_redacted("", element) for element in value]
    return value


def traceback_without_texts(exc_info: ExcInfo) -> str:
    """Where an exception and those behind it came from, and of which types they are.

    Their texts are left out, for a plugin may put a prompt in one; only what is meant for the operator is shown.
    """
    return "\n".join(_traced(exc_info[1], set()))


def _traced(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    yield from _traced(behind, seen)
    kind = type(error)
    text = f": {error}" if isinstance(error, ConfigurationError) else ""
    yield "".join(traceback.format_tb(error.__traceback__)) + f"{kind.__module__}.{kind.__qualname__}{text}"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _traced(each, seen)


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
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(traceback_without_texts),
    ]
    target = stream if stream is not None else sys.stderr
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    )
    handler = _Handler(stream)
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact_values, renderer],
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
