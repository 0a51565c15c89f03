"""A small HTTP server on loopback, for servers that speak as a daemon does.

Just what the daemons' APIs need, each request on a connection of its own: JSON, text, JSON lines, WebSockets.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import field, frozen
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from lightphon_core.testing.listener import Listener, bound


@frozen
class Request:
    """What a client asked. Names of headers are in small letters; `raw` is its head as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    raw: bytes = field(repr=False)

    def form(self) -> dict[str, str]:
        """The body, as a form that names nothing twice."""
        pairs = parse_qsl(self.body.decode(), strict_parsing=True, keep_blank_values=True)
        assert len(dict(pairs)) == len(pairs), "a form names each field once"
        return dict(pairs)


@frozen
class Answer:
    """A whole answer; `content` is sent as JSON, or as it is where it is text."""

    content: Any
    status: int = 200


class Wire:
    """The connection that a request came on."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lost: bool) -> None:
        self._reader = reader
        self._writer = writer
        self._lost = lost
        self._begun = False

    async def answer(self, answer: Answer) -> None:
        is_text = isinstance(answer.content, str)
        body = answer.content.encode() if is_text else json.dumps(answer.content).encode()
        await self._head(answer.status, "text/plain" if is_text else "application/json", f"Content-Length: {len(body)}")
        await self._send(body)

    async def line(self, content: Any) -> None:
        """One line of a stream. The head goes with the first."""
        if not self._begun:
            await self._head(200, "application/json", "Transfer-Encoding: chunked")
        line = json.dumps(content).encode() + b"\n"
        await self._send(b"%x\r\n%b\r\n" % (len(line), line))

    async def end(self) -> None:
        """The proper end of a stream."""
        await self._send(b"0\r\n\r\n")

    async def websocket(self, request: Request) -> ServerProtocol:
        """Accept a WebSocket."""
        protocol = ServerProtocol()
        protocol.receive_data(request.raw)
        (handshake,) = protocol.events_received()
        assert isinstance(handshake, Handshake)
        protocol.send_response(protocol.accept(handshake))
        await self.flush(protocol)
        return protocol

    async def drain(self, protocol: ServerProtocol) -> None:
        """Read what the client sends on a WebSocket, and answer as the protocol asks, until it has gone."""
        while data := await self._reader.read(65_536):
            protocol.receive_data(data)
            await self.flush(protocol)
            if protocol.close_expected():
                return

    async def flush(self, protocol: ServerProtocol) -> None:
        for data in protocol.data_to_send():
            await self._send(data)

    async def _head(self, status: int, kind: str, length: str) -> None:
        self._begun = True
        lines = (f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Type: {kind}", length, "Connection: close")
        await self._send("\r\n".join((*lines, "", "")).encode())

    async def _send(self, data: bytes) -> None:
        if not self._lost:
            self._writer.write(data)
            await self._writer.drain()


class LoopbackServer(ABC):
    """`async with`: it listens on a free port. `changing`: the paths that change something. What a client does that the
    daemon would not take, or that it must not rely on, is an `AssertionError` in `handle`, and raised at the end."""

    changing: frozenset[str] = frozenset()

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = Listener(self._serve, tls=tls)
        self._port = 0
        self._mistakes: list[BaseException] = []
        self.loses_reply = False
        """Whether the next request that changes something is carried out, and not answered."""

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        if self._mistakes:
            raise self._mistakes[0]

    async def listen(self) -> None:
        """Take connections, on the port of before where there was one."""
        on = bound(self._port)
        self._port = on.getsockname()[1]
        self._listener.listen(on)

    async def refuse(self) -> None:
        """Take no more connections, and end those that there are."""
        await self._listener.close()

    async def cut(self) -> None:
        """End the connections that there are."""
        await self._listener.cut()

    @abstractmethod
    async def handle(self, request: Request, wire: Wire) -> Answer | None:
        """Answer a request; None where that was done on the wire."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            if request is not None:
                await self._answer(request, reader, writer)
        except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            self._mistakes.append(error)

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lost = self.loses_reply and request.path in self.changing
        self.loses_reply = self.loses_reply and not lost
        wire = Wire(reader, writer, lost=lost)
        handling = asyncio.ensure_future(self.handle(request, wire))
        if "upgrade" in request.headers:
            await handling
            return
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([handling, gone], return_when=asyncio.FIRST_COMPLETED)
            if not handling.done():
                return
            answer = await handling
            if answer is not None:
                await wire.answer(answer)
        finally:
            for task in (handling, gone):
                task.cancel()
            await asyncio.gather(handling, gone, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = raw.decode("latin-1").strip().split("\r\n")
    method, target, _version = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    query = parse_qsl(parts.query, strict_parsing=True) if parts.query else []
    return Request(method, unquote(parts.path), dict(query), headers, body, raw)
