"""The bytes of one streamed answer on their way from the job that makes them to the client that reads them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from lightphon_core.errors import LightPhonError
from lightphon_core.openai import sse

KEEP_ALIVE = sse.comment("keep-alive")


class ClientTooSlow(Exception):
    """More than the limit lies unread; the job ends here."""


class Outlet:
    """A bounded buffer with one writer and one reader.

    The writer never waits. What is ready together leaves as one write. After `keep_alive_s` silent seconds the reader
    gets an SSE comment, so that no proxy takes the stream for dead. `render` turns an error into the bytes that end a
    stream which has begun; `abandon` is called when the reader goes away, however it goes.
    """

    def __init__(
        self,
        *,
        limit: int,
        keep_alive_s: float,
        render: Callable[[LightPhonError], bytes],
        abandon: Callable[[], object],
    ) -> None:
        self._limit = limit
        self._keep_alive_s = keep_alive_s
        self._render = render
        self._abandon = abandon
        self._parts: list[bytes] = []
        self._unread = 0
        self._ended = False
        self._error: LightPhonError | None = None
        self._sending = False
        self._changed = asyncio.Event()
        self._sent = asyncio.Event()

    def write(self, data: bytes) -> None:
        """Add bytes. Raises `ClientTooSlow` past the limit."""
        self._parts.append(data)
        self._unread += len(data)
        self._changed.set()
        if self._unread > self._limit:
            raise ClientTooSlow

    def end(self, error: LightPhonError | None = None) -> None:
        """Nothing more will be written. With an error the stream ends in it, after what was written before."""
        self._ended, self._error = True, error
        self._changed.set()

    @property
    def is_empty(self) -> bool:
        """Whether all that was written has been sent."""
        return not self._parts and not self._sending

    async def drained(self, timeout_s: float) -> None:
        """Wait until all that was written has been sent, but not for longer than `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self.is_empty:
                    self._sent.clear()
                    await self._sent.wait()

    async def opened(self) -> None:
        """Wait until the answer has begun: its first bytes are there, or it has been silent for `keep_alive_s`.

        Raises the error of an answer that failed before its first byte, while a proper status can still be sent.
        """
        if await self._wait() and self._error is not None and not self._parts:
            raise self._error

    async def read(self) -> AsyncGenerator[bytes, None]:
        """What to send, as it comes; ends with the answer."""
        try:
            while True:
                if self._parts:
                    data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                    self._parts.clear()
                    self._unread = 0
                    self._sending = True
                    yield data
                    self._sending = False
                    self._sent.set()
                elif self._ended:
                    if self._error is not None:
                        yield self._render(self._error)
                    return
                elif not await self._wait():
                    yield KEEP_ALIVE
        finally:
            self.close()

    def close(self) -> None:
        """The reader is gone. Does nothing to an answer that has ended."""
        if not self._ended:
            self._abandon()

    async def _wait(self) -> bool:
        """Until something changed (True), or the time for a sign of life has come (False)."""
        self._changed.clear()
        if self._parts or self._ended:
            return True
        alarm = asyncio.get_running_loop().call_later(self._keep_alive_s, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            alarm.cancel()
        return bool(self._parts or self._ended)
