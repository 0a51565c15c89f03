"""Lines that are what they seem: nothing in them moves a cursor, begins another line, or is what a task was given."""

from __future__ import annotations

from structlog.typing import EventDict, WrappedLogger

_BLOCKS = frozenset({"exception", "stack"})
"""Have lines of their own."""


def printable(text: str) -> str:
    """`text` with everything escaped that a terminal may do something else with than show it: controls, line breaks,
    marks that turn the direction of writing."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A structlog processor for lines that people read: each event is one, and its traceback the lines after it."""
    for key, value in event.items():
        if key in _BLOCKS and isinstance(value, str):
            event[key] = "\n".join(map(printable, value.split("\n")))
        elif isinstance(value, str):
            event[key] = printable(value)
    return event


def without_arguments(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A structlog processor: of what asyncio says about a task or callback that failed, only that it did. The rest are
    reprs of what it was called with, and of the exception with its text: prompts, perhaps. The traceback stays."""
    if event.get("logger") == "asyncio":
        first, more, _rest = str(event["event"]).partition("\n")
        event["event"] = first.partition("(")[0] if more else first
    return event
