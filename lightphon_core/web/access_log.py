"""A request id on every answer, and one log line for every request, without tokens, queries or bodies."""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send
    from structlog.stdlib import BoundLogger

LOGGED = "lightphon_logged"
"""Set in the scope's state by a route that writes the line itself, because it knows more."""
REQUEST_ID = "lightphon_request_id"

_AGENT_TOKEN = re.compile(r"(?<=/api/agent/)[^/]+")
_LONGEST_PATH = 200


def shown_path(path: str) -> str:
    """A path as it may be shown: no agent token, printable ASCII, bounded."""
    path = _AGENT_TOKEN.sub("-", path)[:_LONGEST_PATH]
    return path.encode("ascii", "backslashreplace").decode()


def request_id(scope: Scope) -> str:
    """The id that this request's answer carries as `x-request-id`."""
    return str(scope["state"][REQUEST_ID])


class AccessLog(ASGIMiddleware):
    """Outermost middleware. The id is ours, never a client's."""

    def __init__(self, log: BoundLogger) -> None:
        self._log = log

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if scope["type"] != ScopeType.HTTP:
            await next_app(scope, receive, send)
            return
        began = time.monotonic()
        id_ = "req_" + secrets.token_hex(12)
        scope["state"][REQUEST_ID] = id_
        status = 0

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", id_.encode())]
            await send(message)

        try:
            await next_app(scope, receive, with_id)
        finally:
            if not scope["state"].get(LOGGED):
                self._log.info(
                    "request",
                    request_id=id_,
                    method=str(scope.get("method")),
                    path=shown_path(scope["path"]),
                    status=status,
                    ms=round((time.monotonic() - began) * 1000, 1),
                )
