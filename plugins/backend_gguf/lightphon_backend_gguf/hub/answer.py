"""The answer to one job, between the link that receives it and the request that reads it."""

import asyncio
from collections import deque

from lightphon_core import BackendError, Unavailable


class Answer:
    """Takes bytes without ever waiting, up to `limit` unread ones. For one reader."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unread: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._error: BackendError | None = None
        self._changed = asyncio.Event()

    def feed(self, data: bytes) -> bool:
        """Take the next bytes. False if that is too much: the answer has then failed, and what was unread is gone."""
        if self._ended:
            return True
        self._size += len(data)
        if self._size > self._limit:
            self._unread.clear()
            self.end(Unavailable("The answer was not read fast enough."))
            return False
        self._unread.append(data)
        self._changed.set()
        return True

    def end(self, error: BackendError | None = None) -> None:
        """Nothing more will come: the reader gets what was fed, then the end or `error`. The first call counts."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._changed.set()

    async def read(self) -> bytes:
        """All that is unread, as soon as there is something; empty at the end. Raises what the answer ended with."""
        while not self._unread:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._changed.clear()
            await self._changed.wait()
        data = b"".join(self._unread)
        self._unread.clear()
        self._size = 0
        return data
