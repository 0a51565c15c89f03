"""Passwords: argon2id, spent in a few threads at a time, and on names that do not exist too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from lightphon_core.errors import InvalidRequest, RateLimited

T = TypeVar("T")

MIN_LENGTH = 10
MAX_LENGTH = 256
PARALLEL = 2
"""Each takes 64 MiB and some 50 ms of a core; more at once would only take the machine away from streams."""
PARALLEL_KNOWN = 1
"""The same beside these, for people who are known already: nobody else can have them wait."""
WAITING_LIMIT = 64
NICENESS = 10
"""Each hash fills four threads. In a flood of log-ins they would take most of a small machine's time from the event
loop, and so from every answer; these take what is left."""

_hasher = PasswordHasher()  # the low-memory parameters of RFC 9106


def check_password(password: str) -> str:
    """`password` as it is hashed: in Unicode's NFC, since keyboards differ in how they compose a letter.

    Raises:
        InvalidRequest: it is shorter than 10 characters, longer than 256, or no text.
    """
    password = bounded_password(password)
    if len(password) < MIN_LENGTH:
        raise InvalidRequest(f"A password has at least {MIN_LENGTH} characters.", param="password")
    return password


def bounded_password(password: str) -> str:
    """The same for a password that is only compared: it may be short. Raises `InvalidRequest`."""
    if len(password) > MAX_LENGTH:
        raise InvalidRequest(f"A password has at most {MAX_LENGTH} characters.", param="password")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in password):
        raise InvalidRequest("A password is Unicode text.", param="password")
    return unicodedata.normalize("NFC", password)


def hash_password(password: str) -> str:
    """What the database keeps of a password. Blocks for as long as argon2 takes. Raises as `check_password`."""
    return _hasher.hash(check_password(password))


class Passwords:
    """argon2 for an event loop, in two lines: `PARALLEL` at a time for everybody, and `PARALLEL_KNOWN` for whoever is
    `known`, so that however many others try, those wait for one another alone. In each no more than `WAITING_LIMIT`
    are under way.

    Both methods raise `RateLimited` where more are asked for, and `InvalidRequest` as `check_password` does.
    """

    def __init__(self) -> None:
        self._everybody = _Line(PARALLEL, "lightphon-argon2")
        self._known = _Line(PARALLEL_KNOWN, "lightphon-argon2-known")

    async def hash(self, password: str, *, known: bool = False) -> str:
        """What to keep of a new password."""
        return await self._line(known).run(hash_password, check_password(password))

    async def verify(self, password: str, stored: str | None, *, known: bool = False) -> bool:
        """Whether `stored` was made of this password.

        None stands for a name that is unknown or has no password, and costs the same: argon2 hashes as long as it
        verifies.
        """
        return await self._line(known).run(_verify, bounded_password(password), stored)

    def close(self) -> None:
        """Drop what waits. Whoever asked for it is gone, for the server has stopped."""
        self._everybody.close()
        self._known.close()

    def _line(self, known: bool) -> _Line:
        return self._known if known else self._everybody


class _Line:
    """Threads that take what waits, in its order."""

    def __init__(self, threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=_step_back)
        self._pending = 0

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        if self._pending >= WAITING_LIMIT:
            raise RateLimited("Too many people are logging in at the moment. Try again.", retry_after=2)
        self._pending += 1
        work = self._threads.submit(function, *arguments)
        loop = asyncio.get_running_loop()
        # Not when the caller ends: argon2 runs on when its client has gone, and its place is free only then.
        work.add_done_callback(lambda _: self._ended(loop))
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ended(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits there any more
            loop.call_soon_threadsafe(self._free)

    def _free(self) -> None:
        self._pending -= 1


def _step_back() -> None:
    """Let other threads go first; those that argon2 starts do so too. Only Linux knows threads apart."""
    if sys.platform == "linux":
        own = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, own, max(NICENESS, os.getpriority(os.PRIO_PROCESS, own)))


def _verify(password: str, stored: str | None) -> bool:
    if stored is None:
        _hasher.hash(password)
        return False
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
