"""How large a request's body may be, how long it may take, and how much of all of them is held at one time, whichever
route reads it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from litestar.enums import ScopeType

from lightphon_core.errors import BodyTooLarge, BodyTooSlow
from lightphon_core.web.edge.body_room import BodyRoom

if TYPE_CHECKING:
    from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

HOLDER = "lightphon_body_holder"
"""In the scope's state, noted by whoever learns it before the body is read: the account whose request it is. All whose
account nobody noted are one."""
UNCOUNTED_BYTES = 65_536
"""Of each body, what takes no room: uvicorn keeps as much of every connection. So most requests find room whatever the
others do; connections bound how many there are."""


class BoundedBodies:
    """ASGI: what a route receives is at most `limit` bytes, whole `timeout_s` after it asked for the first of them, and
    has a place in the `room` until the request is over.

    `receive` raises `BodyTooLarge`, `BodyTooSlow` or `ServerBusy` in the route, which answers 413, 408 or 503.
    """

    def __init__(self, app: ASGIApp, *, limit: int, timeout_s: float, room: BodyRoom) -> None:
        self._app = app
        self._limit = limit
        self._timeout_s = timeout_s
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, self._limit, self._timeout_s, self._room)
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.give_back()


class _Body:
    """Takes room as the bytes arrive, or who declares much and sends nothing would keep others out. What is declared
    and would find no room is refused before it is sent, all the same."""

    def __init__(self, scope: Scope, receive: Receive, limit: int, timeout_s: float, room: BodyRoom) -> None:
        self._scope = scope
        self._receive = receive
        self._limit = limit
        self._timeout_s = timeout_s
        self._room = room
        self._holder = ""
        self._read = 0
        self._taken = 0
        self._deadline: float | None = None
        self._ended = False

    async def receive(self) -> HTTPReceiveMessage:
        if self._ended:
            return await self._receive()  # type: ignore[return-value]  # of an HTTP request
        if self._deadline is None:
            self._begin()
        try:
            async with asyncio.timeout_at(self._deadline):
                message: HTTPReceiveMessage = await self._receive()  # type: ignore[assignment]  # as above
        except TimeoutError:
            raise BodyTooSlow(
                f"The body did not arrive within {self._timeout_s:g} seconds. Send it faster, or send less."
            ) from None
        if message["type"] != "http.request":  # but a disconnect
            self._ended = True
            return message
        self._ended = not message["more_body"]
        self._read += len(message["body"])
        if self._read > self._limit:
            raise BodyTooLarge(f"The body is over the limit of {self._limit} bytes. Send less, or smaller images.")
        if more := _counted(self._read) - self._taken:
            self._room.take(self._holder, more)
            self._taken += more
        return message

    def give_back(self) -> None:
        """The request is over."""
        if self._taken:
            self._room.give_back(self._holder, self._taken)
            self._taken = 0

    def _begin(self) -> None:
        self._deadline = asyncio.get_running_loop().time() + self._timeout_s
        self._holder = self._scope["state"].get(HOLDER, "")
        declared = next((value for name, value in self._scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and (size := _counted(min(int(declared), self._limit))):
            self._room.check(self._holder, size)


def _counted(size: int) -> int:
    """How much room a body of so many bytes takes."""
    return max(0, size - UNCOUNTED_BYTES)
