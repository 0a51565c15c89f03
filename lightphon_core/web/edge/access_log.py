"""A request id on every answer, and one log line for every request, without tokens, queries or bodies."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Protocol

from lightphon_core.host import Clock

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send
    from structlog.stdlib import BoundLogger

LOGGED = "lightphon_logged"
"""Set in the scope's state by a route that writes the line itself, because it knows more."""
REQUEST_ID = "lightphon_request_id"
NOTED = "lightphon_noted"
"""What a route adds to the line, in the scope's state: ids, and nothing that people wrote."""
UNMATCHED = "unmatched"
"""Stands for the route of a request that has none."""

_AGENT_TOKEN = re.compile(r"(?<=/api/agent/)[^/]+")
_LONGEST_PATH = 200
_MOST_PARTS = 12


def shown_path(path: str) -> str:
    """A path as it may be shown to whoever asked for it: no agent token, printable ASCII, bounded."""
    path = _AGENT_TOKEN.sub("-", path)[:_LONGEST_PATH]
    return path.encode("ascii", "backslashreplace").decode()


def words_of(templates: list[str]) -> frozenset[str]:
    """The parts that the paths of routes are made of, without their parameters."""
    return frozenset(part for template in templates for part in template.split("/") if not part.startswith("{"))


def logged_path(path: str, words: frozenset[str]) -> str:
    """A path that no route has, as it may be logged: what is no word of ours is a dash, as people may have put anything
    there, a key or a part of a prompt."""
    return "/".join(part if part in words else "-" for part in path[:_LONGEST_PATH].split("/", _MOST_PARTS))


def request_id(scope: Scope) -> str:
    """The id that this request's answer carries as `x-request-id`."""
    return str(scope["state"][REQUEST_ID])


class Counts(Protocol):
    """Who counts what passes."""

    def request(self, route: str, method: str, status: int) -> None:
        """A request is over. `route` is its path with parameters by name; `status` is 0 where no answer began."""

    def stream(self, change: int) -> None:
        """A stream of events began (1) or ended (-1)."""


class AccessLog:
    """ASGI. The id is ours, never a client's. The line of a WebSocket comes when it is over. `words` are those of
    `words_of`."""

    def __init__(self, app: ASGIApp, log: BoundLogger, clock: Clock, counts: Counts, words: frozenset[str]) -> None:
        self._app = app
        self._log = log
        self._clock = clock
        self._counts = counts
        self._words = words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = self._clock.monotonic()
        id_ = "req_" + secrets.token_hex(12)
        state = scope.setdefault("state", {})
        state[REQUEST_ID] = id_
        own = (b"x-request-id", id_.encode())
        path = scope["path"]
        status, streams = 0, False

        async def with_id(message: Message) -> None:
            nonlocal status, streams
            started: Any = message
            match message["type"]:
                case "http.response.start" | "websocket.http.response.start":
                    status = started["status"]
                    started["headers"] = headers = [*started.get("headers", ()), own]
                    if any(name == b"content-type" and kind.startswith(b"text/event-stream") for name, kind in headers):
                        streams = True
                        self._counts.stream(1)
                case "websocket.accept":
                    status = 101
                    started["headers"] = [*started.get("headers", ()), own]
                case "websocket.close" if not status:
                    status = 403  # what the server makes of it
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        finally:
            if streams:
                self._counts.stream(-1)
            template = scope.get("path_template") or None
            method = str(scope.get("method", "WEBSOCKET"))
            self._counts.request(template or UNMATCHED, method, status)
            if not state.get(LOGGED):
                self._log.info(
                    "request",
                    request_id=id_,
                    method=method,
                    path=template or logged_path(path, self._words),
                    status=status,
                    ms=round((self._clock.monotonic() - began) * 1000, 1),
                    **state.get(NOTED, {}),
                )
