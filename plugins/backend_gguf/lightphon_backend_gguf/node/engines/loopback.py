"""The least of HTTP that `Upstream` needs, for workers whose engine brings no server: one request a connection."""

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from attrs import frozen

MAX_HEAD = 16 * 1024
MAX_BODY = 64 * 2**20


class RequestFailed(Exception):
    """What to answer instead: a status, and OpenAI's error object."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(status)
        self.status = status
        self.error = {"message": message, "type": "invalid_request_error" if status < 500 else "server_error", **more}


@frozen
class Request:
    """A request: its method, its path and its decoded body, None for none."""

    method: str
    path: str
    body: Any


Answer = Callable[[Request], AsyncGenerator[bytes, None]]
"""Yields the parts of an answer: one JSON document or events. It may raise RequestFailed before the first part.

It is closed at once when the client hangs up.
"""


async def listen(key: str, answer: Answer) -> tuple[asyncio.Server, str]:
    """Serve on a free port of the loopback interface; the server, and its address."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _serve(reader, writer, key, answer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client left, or speaks something else
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=MAX_HEAD)
    host, port = server.sockets[0].getsockname()[:2]
    return server, f"http://{host}:{port}"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str, answer: Answer) -> None:
    try:
        request = await _read(reader, key)
        work = asyncio.create_task(_respond(writer, answer(request)))
    except RequestFailed as failed:
        return await _fail(writer, failed)
    # Nothing more is expected of the client, so whatever the reader says is that it has gone.
    gone = asyncio.create_task(reader.read(1))
    await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    work.cancel()
    await asyncio.wait({work, gone})
    if not work.cancelled() and (error := work.exception()) is not None:
        raise error
    return None


async def _read(reader: asyncio.StreamReader, key: str) -> Request:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    pairs = (line.partition(":") for line in lines[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    given = headers.get("authorization", "").encode("latin-1")
    if not hmac.compare_digest(given, f"Bearer {key}".encode()):
        raise RequestFailed(401, "Invalid API key.")
    size = headers.get("content-length", "0")
    if not size.isdecimal() or int(size) > MAX_BODY:
        raise RequestFailed(413, "The request is too long.")
    content = await reader.readexactly(int(size))
    try:
        body = json.loads(content) if content else None
    except (ValueError, RecursionError):
        raise RequestFailed(400, "The request is not JSON.") from None
    return Request(method, rest.partition(" ")[0], body)


async def _respond(writer: asyncio.StreamWriter, parts: AsyncGenerator[bytes, None]) -> None:
    async with aclosing(parts):
        try:
            first = await anext(parts, b"")
        except RequestFailed as failed:
            return await _fail(writer, failed)
        kind = b"text/event-stream" if first.startswith(b"data:") else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\ntransfer-encoding: chunked\r\n\r\n")
        part = first
        while part:
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
            part = await anext(parts, b"")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
    return None


async def _fail(writer: asyncio.StreamWriter, failed: RequestFailed) -> None:
    body = json.dumps({"error": failed.error}).encode()
    head = f"HTTP/1.1 {failed.status} Error\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
