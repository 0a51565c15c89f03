"""A server on loopback that answers as OpenClaw 2026.9.6 does, byte shapes and bad habits included.

It runs in a thread of its own, so that a test and a live server may both wait for it.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from attrs import field, frozen

from lightphon_core.testing.listener import Listener, bound

KEY = "openclaw-gateway-token-0123456789"
AGENTS = ("openclaw", "openclaw/default", "openclaw/main")
PIECES = ("Hello", " from", " an", " agent.")
_TIMEOUT_S = 10.0


@frozen
class Asked:
    """A request that came. Names of headers are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)


Send = Callable[[bytes], Awaitable[None]]
Answer = Callable[[Asked, Send], Awaitable[None]]


def error(status: int, message: str, kind: str, *headers: str) -> bytes:
    """A whole HTTP answer with an error in OpenAI's shape."""
    body = json.dumps({"error": {"message": message, "type": kind}}).encode()
    return head(status, "application/json", f"content-length: {len(body)}", *headers) + body


def head(status: int, kind: str, *headers: str) -> bytes:
    """The beginning of an HTTP answer, after which the connection ends."""
    lines = [f"HTTP/1.1 {status} Status", f"content-type: {kind}", "connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def event(payload: object) -> bytes:
    """One server-sent event; text goes as it is."""
    return f"data: {payload if isinstance(payload, str) else json.dumps(payload)}\n\n".encode()


def chunk(model: str, delta: Mapping[str, object], finish: str | None = None) -> bytes:
    """One chunk of OpenClaw's, under its own id and the name that was asked for."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event(_envelope(model) | {"choices": [choice]})


def usage(model: str, prompt: int, completion: int) -> bytes:
    """Its last chunk: the sums over all inner calls."""
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return event(_envelope(model) | {"choices": [], "usage": counted})


def _envelope(model: str) -> dict[str, object]:
    return {"id": "chatcmpl_5e0c", "object": "chat.completion.chunk", "created": 1, "model": model}


STREAM = head(200, "text/event-stream; charset=utf-8")
DONE = event("[DONE]")


def says(*pieces: str, counted: tuple[int, int] = (4096, 9)) -> Answer:
    """An answer in these pieces, with this usage."""

    async def answer(asked: Asked, send: Send) -> None:
        if not isinstance(asked.body.get("messages"), list):
            await send(error(400, "Missing user message in `messages`.", "invalid_request_error"))
            return
        model = asked.body["model"]
        await send(STREAM + chunk(model, {"role": "assistant"}))
        for piece in pieces:
            await send(chunk(model, {"content": piece}))
        await send(chunk(model, {}, "stop") + usage(model, *counted) + DONE)

    return answer


def fails_in_the_stream(*pieces: str) -> Answer:
    """Status 200, a role, perhaps some text, an error as an event, and [DONE]: no finish_reason."""

    async def answer(asked: Asked, send: Send) -> None:
        await send(STREAM + chunk(asked.body["model"], {"role": "assistant"}))
        for piece in pieces:
            await send(chunk(asked.body["model"], {"content": piece}))
        await send(event({"error": {"message": "internal error", "type": "api_error"}}) + DONE)

    return answer


def never_finishes(*pieces: str) -> Answer:
    """Text and [DONE], and no finish_reason."""

    async def answer(asked: Asked, send: Send) -> None:
        parts = [chunk(asked.body["model"], {"content": piece}) for piece in pieces]
        await send(STREAM + b"".join(parts) + DONE)

    return answer


def answers(status: int, *headers: str) -> Answer:
    """An error with this status, that says more than anybody should hear."""

    async def answer(asked: Asked, send: Send) -> None:
        await send(error(status, f"no: {asked.body} {asked.headers} at 10.0.0.7", "error", *headers))

    return answer


def hangs(*pieces: str) -> Answer:
    """Some text, or none, and then nothing for ever."""

    async def answer(asked: Asked, send: Send) -> None:
        parts = [chunk(asked.body["model"], {"content": piece}) for piece in pieces]
        await send(STREAM + b"".join(parts) if parts else b"")
        await asyncio.Event().wait()

    return answer


class FakeServer:
    """A context manager. Its port is its own from the beginning, and refuses connections until `listen()`.

    `answer` is what it says to a chat; `listing` is the whole HTTP answer to GET /v1/models, None for that of `models`.
    `asked` are the requests that came; `began` is set once a chat is
    being answered, `hung_up` whenever a client left in the middle of it.
    """

    def __init__(self, *, models: Sequence[str] = AGENTS, key: str | None = KEY) -> None:
        self.models = models
        self.key = key
        self.answer: Answer = says(*PIECES)
        self.listing: bytes | None = None
        self.asked: list[Asked] = []
        self.began = threading.Event()
        self.hung_up = threading.Event()
        self._socket = bound()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-openclaw")
        self._listener = Listener(self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._listener.close(), self._loop).result(_TIMEOUT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT_S)
        self._loop.close()
        self._socket.close()

    def listen(self) -> Self:
        """Take connections from now on."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_TIMEOUT_S)
        return self

    def chats(self) -> list[Asked]:
        """What was asked but for lists of models."""
        return [each for each in self.asked if each.method == "POST"]

    async def _listen(self) -> None:
        self._listener.listen(self._socket)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await _read(reader)
        self.asked.append(asked)
        await self._respond(asked, reader, writer)

    async def _respond(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()
            if asked.method == "POST":
                self.began.set()

        answering = asyncio.ensure_future(self._say(asked, send))
        # Nothing more is expected of the client, so whatever the reader says is that it has gone.
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.hung_up.set()
        finally:
            for each in (answering, gone):
                each.cancel()
            await asyncio.gather(answering, gone, return_exceptions=True)

    async def _say(self, asked: Asked, send: Send) -> None:
        if self.key is not None and asked.headers.get("authorization") != f"Bearer {self.key}":
            await send(error(401, "Unauthorized", "unauthorized"))
        elif asked.path == "/v1/models":
            await send(self.listing or self._list())
        else:
            await self.answer(asked, send)

    def _list(self) -> bytes:
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "openclaw"} for name in self.models]
        body = json.dumps({"object": "list", "data": data}).encode()
        return head(200, "application/json", f"content-length: {len(body)}") + body


async def _read(reader: asyncio.StreamReader) -> Asked:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, json.loads(body) if body else None)
