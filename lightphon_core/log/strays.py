"""Exceptions that nobody catches, in a process that serves: logged like all others, without their texts."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

import structlog


def log_strays() -> None:
    """Log what Python itself would write to stderr as it is: exceptions that end a thread or the process, and those of
    finalizers, such as an async generator's that was dropped. Their texts may hold a prompt."""
    log = structlog.stdlib.get_logger("lightphon")

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            log.critical("the server ended by a fault of ours", exc_info=(kind, error, trace))

    def in_thread(stray: threading.ExceptHookArgs) -> None:
        if stray.exc_value is not None:
            log.error("a thread ended by a fault", exc_info=stray.exc_value)

    def unraisable(stray: sys.UnraisableHookArgs) -> None:
        log.error("an exception had nowhere to go", exc_info=stray.exc_value)

    sys.excepthook, sys.unraisablehook, threading.excepthook = ended, unraisable, in_thread
