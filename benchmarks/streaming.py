"""One streamed chat completion as a client sees it, for as little CPU time as Python allows.

While an answer arrives, nothing is done but to note when and what; everything is read afterwards, off the clock.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import httptools
from attrs import define, field, frozen

TIMEOUT_S = 60.0
Message = dict[str, str]


class BadAnswer(Exception):
    """The answer is not what the benchmark asked for; no number would mean anything."""


@frozen
class Target:
    """Where to ask: an OpenAI-compatible server on this machine, its bearer token, and its name of the model."""

    host: str
    port: int
    token: str = field(repr=False)
    model: str

    def request(self, messages: Sequence[Message], max_tokens: int, **more: Any) -> bytes:
        """The bytes of one HTTP request: a greedy, streamed completion of at most `max_tokens`. `more` are other
        fields of its body."""
        body = json.dumps(
            {
                "model": self.model,
                "messages": messages,
                "max_tokens": max_tokens,
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
                **more,
            }
        ).encode()
        return (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        ).encode() + body


@frozen
class Answer:
    """Times are `time.perf_counter()` seconds. `first` and `last` are those of the first and last piece of text. `node`
    is the name of the one that served, where LightPhon says so."""

    sent: float
    first: float
    last: float
    tokens: int
    text: str = field(repr=False)
    node: str | None = None

    @property
    def ttft_s(self) -> float:
        """Seconds from the request to the first text."""
        return self.first - self.sent


async def ask(target: Target, prompt: str, max_tokens: int) -> Answer:
    """`converse` of one message."""
    return await converse(target, [{"role": "user", "content": prompt}], max_tokens)


async def converse(target: Target, messages: Sequence[Message], max_tokens: int, **more: Any) -> Answer:
    """Ask over a new connection, which is open before the clock starts. Raises `BadAnswer` or OSError."""
    loop = asyncio.get_running_loop()
    request = target.request(messages, max_tokens, **more)
    transport, arrivals = await loop.create_connection(Arrivals, target.host, target.port)
    try:
        sent = time.perf_counter()
        transport.write(request)
        async with asyncio.timeout(TIMEOUT_S):
            await arrivals.closed
    except TimeoutError:
        raise BadAnswer(f"The answer was not whole after {TIMEOUT_S:.0f} s.") from None
    finally:
        transport.abort()
    return read(sent, arrivals.pieces)


class Arrivals(asyncio.Protocol):
    """What arrived when, until the server closes the connection."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.pieces.append((time.perf_counter(), data))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.closed.done():
            self.closed.set_result(None)


@define
class _Reader:
    """httptools' callbacks, and the events that they complete."""

    body: bytes = b""
    complete: bool = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True

    def events(self) -> list[Any]:
        """The events that are whole by now, each given once; `None` for [DONE]."""
        *whole, self.body = self.body.split(b"\n\n")
        payloads = [event.removeprefix(b"data: ") for event in whole if event.startswith(b"data: ")]
        return [None if payload == b"[DONE]" else json.loads(payload) for payload in payloads]


def read(sent: float, pieces: list[tuple[float, bytes]]) -> Answer:
    """What the bytes of one HTTP response, which arrived in these pieces, say. Raises `BadAnswer`."""
    reader = _Reader()
    parser = httptools.HttpResponseParser(reader)
    first = last = 0.0
    tokens: int | None = None
    texts: list[str] = []
    node: str | None = None
    done = False
    for at, data in pieces:
        parser.feed_data(data)
        for event in reader.events():
            if event is None:
                done = True
                continue
            if "error" in event:
                raise BadAnswer("The stream holds an error.")
            if text := "".join(choice["delta"].get("content") or "" for choice in event["choices"]):
                first, last = first or at, at
                texts.append(text)
            node = event.get("routing_info", {}).get("node_name", node)
            if event.get("usage"):
                tokens = event["usage"]["completion_tokens"]
    if parser.get_status_code() != 200:
        raise BadAnswer(f"HTTP status {parser.get_status_code()}.")
    if not (done and reader.complete and first and tokens):
        raise BadAnswer("The stream ended early, or has no text or usage.")
    return Answer(sent, first, last, tokens, "".join(texts), node)
