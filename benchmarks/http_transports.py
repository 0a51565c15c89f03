"""Ways for an asyncio program to read another server's answers: plain httpx, httpx over aiohttp, and aiohttp itself.

    uv run --with httpx-aiohttp python benchmarks/http_transports.py [--seconds S] [--json]

A bare ASGI application in a process of its own answers requests with one short body, and streams with 200 events of one
chunk each. A client in another process keeps 16 of either under way. The ways take turns, so what counts are the ratios
to plain httpx, round by round. `ours` is the transport of plugins/backend_openclaw, which opens a connection for each
request, and so does `aiohttp`. `package` is httpx-aiohttp, left out where it is not installed; it and plain httpx keep
their connections, and `package, closing` does not.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import click
import httpx
from lightphon_backend_openclaw.transport import Transport

CLIENTS = 16
EVENTS = 200
ROUNDS = 3
EVENT = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": "word"}}]}).encode() + b"\n\n"

Ask = Callable[[str], Awaitable[int]]
"""Asks for a path, and returns the bytes of the answer."""


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The upstream."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    if scope["path"] == "/stream":
        for _ in range(EVENTS):
            await send({"type": "http.response.body", "body": EVENT, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if scope["path"] == "/stream" else EVENT})


def serve() -> None:
    """The upstream's process: prints its address, and ends when its standard input does."""
    import threading

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))

    def end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=end, daemon=True).start()
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])


@asynccontextmanager
async def over_httpx(url: str, transport: httpx.AsyncBaseTransport | None) -> AsyncGenerator[Ask, None]:
    """httpx, over its own transport unless another is given."""
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=None, trust_env=False) as client:

        async def ask(path: str) -> int:
            async with client.stream("POST", path, content=b"{}") as reply:
                return sum([len(part) async for part in reply.aiter_raw()])

        yield ask


@asynccontextmanager
async def over_aiohttp(url: str) -> AsyncGenerator[Ask, None]:
    """aiohttp without httpx, with a connection for each request."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(url, connector=connector) as session:

        async def ask(path: str) -> int:
            async with session.post(path, data=b"{}") as reply:
                return sum([len(part) async for part in reply.content.iter_any()])

        yield ask


def ways(url: str) -> dict[str, Callable[[], Any]]:
    """Those that can be had here, by name."""
    found: dict[str, Callable[[], Any]] = {
        "httpx": lambda: over_httpx(url, None),
        "ours": lambda: over_httpx(url, Transport()),
        "aiohttp": lambda: over_aiohttp(url),
    }
    if importlib.util.find_spec("httpx_aiohttp"):
        from httpx_aiohttp import AiohttpTransport

        def closing() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))

        found["package"] = lambda: over_httpx(url, AiohttpTransport(limits=httpx.Limits(max_connections=None)))
        found["package, closing"] = lambda: over_httpx(url, AiohttpTransport(client=closing))
    return found


async def rate(ask: Ask, path: str, seconds: float) -> float:
    """Answers a second."""
    expected = len(EVENT) * (EVENTS if path == "/stream" else 1)
    began = time.perf_counter()

    async def client() -> int:
        answers = 0
        while time.perf_counter() - began < seconds:
            if await ask(path) != expected:
                raise click.ClickException("An answer was not whole.")
            answers += 1
        return answers

    answers = sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))
    return answers / (time.perf_counter() - began)


async def measure(url: str, seconds: float) -> dict[str, dict[str, list[float]]]:
    """By path and way, answers a second in each round."""
    share = seconds / (2 * ROUNDS * len(ways(url)))
    results: dict[str, dict[str, list[float]]] = {"/one": {}, "/stream": {}}
    for path, rates in results.items():
        for _ in range(ROUNDS):
            for name, way in ways(url).items():
                async with way() as ask:
                    rates.setdefault(name, []).append(await rate(ask, path, share))
    return results


@click.command()
@click.option("--seconds", default=24.0, show_default=True, type=click.FloatRange(1, 600), help="How long to measure.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--serve", "is_upstream", is_flag=True, hidden=True)
def main(seconds: float, as_json: bool, is_upstream: bool) -> None:
    """Measure requests and streams a second, by way."""
    if is_upstream:
        serve()
        return
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as upstream:
        assert upstream.stdin is not None
        assert upstream.stdout is not None
        try:
            results = asyncio.run(measure(upstream.stdout.readline().strip(), seconds))
        finally:
            upstream.stdin.close()
    figures = {
        path: {
            name: {
                "per_second": statistics.median(rates),
                "ratio": statistics.median(a / b for a, b in zip(rates, by_way["httpx"], strict=True)),
            }
            for name, rates in by_way.items()
        }
        for path, by_way in results.items()
    }
    if as_json:
        click.echo(json.dumps(figures))
        return
    for path, word in (("/one", "requests/s"), ("/stream", "streams/s")):
        for name, figure in figures[path].items():
            click.echo(f"{name:16} {figure['per_second']:8.0f} {word:10}  {figure['ratio']:5.2f} of plain httpx")


if __name__ == "__main__":
    main()
