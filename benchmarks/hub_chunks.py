"""How many chunks a second the server passes on, from a node that costs next to nothing: the hub alone, and all of it.

    uv run python benchmarks/hub_chunks.py [--seconds S] [--json]

"hub" reads the backend's own iterator: WebSocket, frames, session, answer. "whole" asks over HTTP and streams: ledger,
relay and outlet come on top. The simulated node and the client are in processes of their own. Each chunk is an OpenAI
chunk of about 130 bytes, in a binary message of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
from attrs import asdict, frozen
from lightphon_backend_gguf.testing.simulated import SimulatedNode, Simulation

from lightphon_core import Job, log
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.plugins import installed
from lightphon_core.settings import LimitSettings, LogSettings, Settings
from lightphon_core.testing import LiveServer

STREAMS = (1, 4, 16)
CHUNKS = 4000
AT_ONCE = 20
PATH = "/v1/chat/completions"
BODY = {"model": "simulated", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": CHUNKS}


@frozen
class Result:
    """`chunks` arrived in `seconds`, on so many streams at once."""

    way: str
    streams: int
    chunks: int
    seconds: float

    @property
    def per_second(self) -> int:
        return round(self.chunks / self.seconds)


def node(url: str, token: str) -> None:
    """The simulated node's process."""
    plan = Simulation(slots=max(STREAMS), chunks=CHUNKS, at_once=AT_ONCE)
    asyncio.run(SimulatedNode(url, token, "simulated", plan).run())


async def through_hub(server: LiveServer, streams: int, seconds: float) -> Result:
    """Read the backend on the server's own loop."""
    (entry,) = server.gateway.catalogue.entries()
    body = json.dumps(BODY).encode()
    until = time.perf_counter() + seconds

    async def stream() -> int:
        chunks = 0
        while time.perf_counter() < until:
            job = Job("j", entry.offer.id, PATH, body, CHUNKS, 60)
            async for part in entry.backend.serve(job):
                chunks += part.count(b"data: ")
        return chunks

    began = time.perf_counter()
    counted = await asyncio.gather(*(stream() for _ in range(streams)))
    return Result("hub", streams, sum(counted), time.perf_counter() - began)


def through_http(url: str, key: str, streams: int, seconds: float) -> Result:
    """Ask over HTTP, from this thread's own process."""

    async def stream(http: httpx.AsyncClient, until: float) -> int:
        chunks = 0
        while time.perf_counter() < until:
            async with http.stream("POST", f"{url}{PATH}", json=BODY) as answer:
                answer.raise_for_status()
                async for part in answer.aiter_raw():
                    chunks += part.count(b"data: ")
        return chunks

    async def run() -> Result:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(headers=headers, timeout=60) as http:
            began = time.perf_counter()
            counted = await asyncio.gather(*(stream(http, began + seconds) for _ in range(streams)))
            return Result("whole", streams, sum(counted), time.perf_counter() - began)

    return asyncio.run(run())


@contextlib.contextmanager
def system(folder: Path) -> Iterator[tuple[LiveServer, str]]:
    """A server with one simulated node, and an API key."""
    settings = Settings(data_dir=folder, limits=LimitSettings(max_output_tokens=CHUNKS, max_unread_bytes=2**30))
    with LiveServer(settings, sources=installed()) as server:
        with server.database.transaction() as connection:
            account = create_account(connection, "bench", now=time.time())
            keys = {kind: create_credential(connection, account, kind, now=time.time())[1] for kind in Kind}
        url = server.url.replace("http://", "ws://") + "/api/node-link"
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=node, args=(url, keys[Kind.NODE_TOKEN]), daemon=True)
        process.start()
        try:
            while not server.gateway.catalogue.entries():
                assert process.is_alive(), "the simulated node ended before it was on offer"
                time.sleep(0.02)  # another process: nothing here is told when its offer arrives
            yield server, keys[Kind.API_KEY]
        finally:
            process.terminate()
            process.join()


@click.command()
@click.option("--seconds", default=5.0, show_default=True, help="For each measurement.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def main(seconds: float, as_json: bool) -> None:
    """Measure, and print a table."""
    results: list[Result] = []
    log.configure(LogSettings(level="warning"))
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        system(Path(folder)) as (server, key),
        context.Pool(1) as client,
    ):
        for streams in STREAMS:
            # The server's loop runs in a thread of this process, which does nothing else meanwhile.
            results.append(server.call(through_hub(server, streams, seconds)))
            results.append(client.apply(through_http, (server.url, key, streams, seconds)))
    if as_json:
        rows = [{**asdict(each), "per_second": each.per_second} for each in results]
        click.echo(json.dumps({"python": platform.python_version(), "results": rows}))
        return
    click.echo("| way | streams | chunks/s |\n|---|--:|--:|")
    for each in results:
        click.echo(f"| {each.way} | {each.streams} | {each.per_second:,} |")


if __name__ == "__main__":
    main()
