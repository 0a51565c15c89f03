"""A streamed answer as an ASGI response. Litestar's own Stream never tells an iterator which it did not begin to read
that the client has gone; this one always does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from lightphon_core.serving.outlet import Outlet

if TYPE_CHECKING:
    from litestar.types import Receive, Scope, Send


async def until_gone(receive: Receive) -> None:
    """Wait for the client to hang up, which sending does not tell. Its body has been read, or there is none to read."""
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream:
    """`text/event-stream` from an outlet, with status 200. `done` is called when it is over, however it ended."""

    def __init__(self, outlet: Outlet, headers: Mapping[str, str], *, done: Callable[[], object]) -> None:
        self._outlet = outlet
        self._done = done
        self._headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),  # nginx would collect the stream otherwise
            *((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            async with aclosing(self._outlet.read()) as parts:
                async for part in parts:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._outlet.close()
            self._done()
