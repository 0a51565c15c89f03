"""HEAD wherever there is GET, and `Allow` that names every method of a path."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from litestar.enums import ScopeType

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send


class Methods:
    """ASGI. `methods` are those of the routes, by their paths with parameters by name.

    To HEAD the routes answer as to GET, and the server leaves the body out. A stream ends with its first piece.
    """

    def __init__(self, app: ASGIApp, methods: Mapping[str, Collection[str]]) -> None:
        self._app = app
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        inner: Any = {**scope, "method": "GET"} if head else scope  # the server's own still says what to leave out

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [self._header(inner, *each) for each in message.get("headers", ())]
            await send(message)
            if head and message["type"] == "http.response.body" and message["more_body"]:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                raise _HeadIsSent

        try:
            await self._app(inner, receive, answer)
        except* _HeadIsSent:
            pass
        finally:
            scope["path_template"] = inner.get("path_template", "")

    def _header(self, scope: Scope, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        if name.lower() != b"allow":
            return name, value
        # Litestar's OPTIONS knows the methods that the path had when its first route came.
        allowed = {*value.decode().split(", "), *self._methods.get(scope.get("path_template", ""), ())}
        if "GET" in allowed:
            allowed.add("HEAD")
        return name, ", ".join(sorted(allowed)).encode()


class _HeadIsSent(BaseException):
    """Ends a stream that nobody is going to read."""
