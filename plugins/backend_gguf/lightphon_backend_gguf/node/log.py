"""What the operator of a node sees: lines on standard error."""

import logging
import sys
from typing import TextIO

import structlog


def make_log(stream: TextIO | None = None, *, verbose: bool = False) -> structlog.stdlib.BoundLogger:
    """A logger for people. It configures nothing global, and tracebacks never show variables: they may hold prompts."""
    stream = sys.stderr if stream is None else stream
    log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
    )
    return log
