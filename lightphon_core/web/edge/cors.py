"""Cross-origin calls: pages of every origin may use the inference routes, with a key; nothing else is theirs.

What is not open gets no header at all, so browsers keep its answers from other sites' pages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from litestar.enums import ScopeType

from lightphon_core.web.paths import is_open

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

PREFLIGHT_S = 86_400
"""How long a browser may keep the answer to a preflight; they cap it at two hours and more."""
EXPOSED = (
    "x-request-id",
    "x-should-retry",
    "retry-after",
    "x-lightphon-node",
    "x-lightphon-model",
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")),
)
"""What a page may read of an answer's headers."""

_HEADER_NAMES = re.compile(rb"[A-Za-z0-9_-]+(?:[ \t]*,[ \t]*[A-Za-z0-9_-]+)*")
_LONGEST = 4096
_ANY = (b"access-control-allow-origin", b"*")
_ANSWER = [_ANY, (b"access-control-expose-headers", ", ".join(EXPOSED).encode())]
_PREFLIGHT = [
    _ANY,
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-max-age", str(PREFLIGHT_S).encode()),
    (b"vary", b"access-control-request-headers"),
]


def preflight_headers(wanted: bytes | None) -> list[tuple[bytes, bytes]]:
    """The answer to a preflight that asks to send the headers `wanted`: yes. They are named one by one, since `*` does
    not cover Authorization."""
    if wanted is None or len(wanted) > _LONGEST or not _HEADER_NAMES.fullmatch(wanted):
        return _PREFLIGHT
    return [*_PREFLIGHT, (b"access-control-allow-headers", wanted)]


class Cors:
    """ASGI: answers preflights of open paths, and lets every origin read what they answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if b"origin" not in headers:
            await self._app(scope, receive, send)
            return
        if scope.get("method") == "OPTIONS" and b"access-control-request-method" in headers:
            allowed = preflight_headers(headers.get(b"access-control-request-headers"))
            await send({"type": "http.response.start", "status": 204, "headers": allowed})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def open_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_ANSWER]
            await send(message)

        await self._app(scope, receive, open_send)
