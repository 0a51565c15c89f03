"""How the contract suites of payments wait, listen and look: what is broken fails with the promise that it breaks."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from unittest import mock

import structlog.testing

from lightphon_core.errors import LightPhonError

T = TypeVar("T")

PATIENCE_S = 30.0
"""How long anything may take that has to come."""
_LOOK_S = 0.02


@asynccontextmanager
async def within(promise: str, seconds: float | None = None) -> AsyncGenerator[None, None]:
    """What is inside ends in time."""
    limit = PATIENCE_S if seconds is None else seconds
    try:
        async with asyncio.timeout(limit):
            yield
    except TimeoutError:
        raise AssertionError(f"{promise}; it did not within {limit:g} s") from None


async def until(look: Callable[[], Awaitable[T]], good: Callable[[T], bool], promise: str) -> T:
    """What `look` finds, as soon as that is good."""
    async with within(promise):
        while not good(found := await look()):  # noqa: ASYNC110 - the ports have no event for it
            await asyncio.sleep(_LOOK_S)
    return found


async def answer(work: Awaitable[T], promise: str, *allowed: type[LightPhonError]) -> T | LightPhonError:
    """What `work` returns or raises, of the errors that are allowed; any other breaks the promise."""
    async with within(promise):
        try:
            return await work
        except allowed as error:
            return error
        except Exception as error:
            names = " or ".join(each.__name__ for each in allowed) or "nothing"
            raise AssertionError(f"{promise}: it raises {names}, not {error!r}") from error


@contextmanager
def nothing_blocks() -> Iterator[None]:
    """The thread of the event loop neither sleeps nor opens a connection that it waits for.

    Told by the calls, not by the clock, so that a busy machine proves nothing.
    """
    here, found = threading.get_ident(), list[str]()
    sleep, connect = time.sleep, socket.socket.connect

    def watched_sleep(seconds: float) -> None:
        if threading.get_ident() == here:
            found.append("time.sleep")
        sleep(seconds)

    def watched_connect(self: socket.socket, address: Any) -> None:
        if threading.get_ident() == here and self.gettimeout() != 0:
            found.append("a blocking socket")
        connect(self, address)

    with mock.patch.object(time, "sleep", watched_sleep), mock.patch.object(socket.socket, "connect", watched_connect):
        yield
    assert not found, f"whatever waits, waits without blocking the event loop; this used {found[0]}"


class Overheard(logging.Handler):
    """Everything that is said while the suite listens: log lines, and what it is given to look at."""

    def __init__(self) -> None:
        super().__init__()
        self._said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._said += [repr(record.msg), repr(record.args)]
        try:
            self._said.append(record.getMessage())
        except (TypeError, ValueError):
            return

    def see(self, thing: object) -> None:
        """Something that others may see: an error with those behind it, or the repr of an object."""
        if isinstance(thing, BaseException):
            self._said += traceback.format_exception(thing)
        self._said.append(repr(thing))

    def hides(self, secret: str) -> bool:
        """Whether nothing that was said has it."""
        return not any(secret in text for text in self._said)


@contextmanager
def overhearing() -> Iterator[Overheard]:
    """Listen to all loggers: the standard library's, and structlog's, set up or not."""
    ear, root = Overheard(), logging.getLogger()
    root.addHandler(ear)
    try:
        with structlog.testing.capture_logs() as entries:
            yield ear
        for entry in entries:
            ear.see(entry)
    finally:
        root.removeHandler(ear)
