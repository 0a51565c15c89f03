"""uvicorn's HTTP/1.1, with bounds on what comes before a request: how long its head may take, and how large it may be.

uvicorn itself waits for a head without end, and keeps what it has of it, and trailers too.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import TimerHandle
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S = 20.0
"""Seconds a connection may go on without a request: until its first head is whole, and from each answer to the next
head, the rest of a body that nobody wanted included. Idle connections end sooner, by uvicorn's keep-alive time."""
HEAD_BYTES = 65_536
"""The most that may come without a piece of a body (a head, or trailers), beside what is read at once."""


class BoundedHeads(HttpToolsProtocol):
    """Closes connections that ask for nothing. Every bound is on the connection alone, so it costs others nothing."""

    _waiting: TimerHandle | None = None
    _unheard = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._unheard += len(data)
        super().data_received(data)
        if self._unheard > HEAD_BYTES and self.transport.get_protocol() is self:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The head is over {HEAD_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        self._unheard = 0
        self._stop_waiting()
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = []  # trailers must not join the headers that the application was given

    def on_body(self, body: bytes) -> None:
        self._unheard = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(HEAD_TIMEOUT_S, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        if self._unheard:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"No request came within {HEAD_TIMEOUT_S:g} seconds.")
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer what never became a request, and close. Silent where an answer is being written."""
        if self.transport.is_closing():
            return
        if getattr(self.cycle, "response_complete", True):  # None before the first request
            error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
            body = json.dumps({"error": error}).encode()
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()
