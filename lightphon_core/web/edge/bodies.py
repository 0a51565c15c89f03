"""How large a request's body may be, and how long it may take, whichever route reads it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from litestar.enums import ScopeType

from lightphon_core.errors import BodyTooLarge, BodyTooSlow

if TYPE_CHECKING:
    from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send


class BoundedBodies:
    """ASGI: what a route receives is at most `limit` bytes, and whole `timeout_s` after it asked for the first of them.

    `receive` raises `BodyTooLarge` or `BodyTooSlow` in the route, which answers 413 or 408.
    """

    def __init__(self, app: ASGIApp, *, limit: int, timeout_s: float) -> None:
        self._app = app
        self._limit = limit
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            receive = _Body(receive, self._limit, self._timeout_s).receive
        await self._app(scope, receive, send)


class _Body:
    def __init__(self, receive: Receive, limit: int, timeout_s: float) -> None:
        self._receive = receive
        self._left = limit
        self._limit = limit
        self._timeout_s = timeout_s
        self._deadline: float | None = None
        self._ended = False

    async def receive(self) -> HTTPReceiveMessage:
        if self._ended:
            return await self._receive()  # type: ignore[return-value]  # of an HTTP request
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._timeout_s
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
        self._left -= len(message["body"])
        if self._left < 0:
            raise BodyTooLarge(f"The body is over the limit of {self._limit} bytes. Send less, or smaller images.")
        return message
