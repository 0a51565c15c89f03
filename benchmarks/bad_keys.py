"""How long a good key waits while others try bad ones, over HTTP.

    uv run python benchmarks/bad_keys.py [--seconds S] [--rate N] [--json]

A gateway in a process of its own, over an SQLite file beside this one; a client asks for the list of models with a
good key every 20 ms. In every second round another process tries well-formed keys that nobody has, from one address and
over up to 64 connections, at a given rate as far as the gateway keeps up.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import click

from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind, new_secret
from lightphon_core.settings import LogSettings, Settings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says

ROUNDS = 3
PAUSE_S = 0.02
CONNECTIONS = 64


def serve(data_dir: Path) -> None:
    """The gateway: prints its URL, and ends when its standard input does."""
    from lightphon_core import log
    from lightphon_core.testing import LiveServer

    log.configure(LogSettings(level="warning"))
    with LiveServer(Settings(data_dir=data_dir), sources=[plugin_of(ScriptedBackend(says("x")))]) as server:
        print(server.url, flush=True)
        sys.stdin.read()


async def try_bad_keys(url: str, rate: float, seconds: float) -> Counter[int]:
    """How often each status came."""
    statuses: Counter[int] = Counter()
    made = [new_secret(Kind.API_KEY) for _ in range(2_000)]  # none is familiar at the second time either
    began = time.perf_counter()
    numbers = count()
    async with aiohttp.ClientSession() as session:

        async def client() -> None:
            while (number := next(numbers)) < rate * seconds and (now := time.perf_counter() - began) < seconds:
                await asyncio.sleep(max(0, number / rate - now))
                headers = {"Authorization": f"Bearer {made[number % len(made)]}"}
                async with session.get(f"{url}/v1/models", headers=headers) as reply:
                    await reply.read()
                    statuses[reply.status] += 1

        await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return statuses


async def ask(url: str, key: str, seconds: float) -> list[float]:
    """Seconds that each answer to a good key took."""
    waited: list[float] = []
    ends = time.perf_counter() + seconds
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        while time.perf_counter() < ends:
            began = time.perf_counter()
            async with session.get(f"{url}/v1/models") as reply:
                await reply.read()
                if reply.status != 200:
                    raise click.ClickException(f"A good key was answered with status {reply.status}.")
            waited.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE_S)
    return waited


def measure(data_dir: Path, seconds: float, rate: float) -> dict[str, Any]:
    """Milliseconds that good keys waited, alone and beside bad ones; and what became of those."""
    with Database(Settings(data_dir=data_dir).database_url) as database:
        migrate(database)
        with database.transaction() as connection:
            account = create_account(connection, "bench", now=time.time())
            _, key = create_credential(connection, account, Kind.API_KEY, now=time.time())
    share = seconds / ROUNDS
    alone: list[float] = []
    beside: list[float] = []
    statuses: Counter[int] = Counter()
    command = [sys.executable, __file__]
    with subprocess.Popen(
        [*command, "--serve", str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as gateway:
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        try:
            url = gateway.stdout.readline().strip()
            asyncio.run(ask(url, key, 0.5))
            for _ in range(ROUNDS):
                alone += asyncio.run(ask(url, key, share))
                flood = [*command, "--flood", url, "--seconds", str(share + 1), "--rate", str(rate)]
                with subprocess.Popen(flood, stdout=subprocess.PIPE, text=True) as others:
                    assert others.stdout is not None
                    others.stdout.readline()  # under way
                    beside += asyncio.run(ask(url, key, share))
                    statuses.update({int(status): times for status, times in json.loads(others.stdout.read()).items()})
        finally:
            gateway.stdin.close()
    return {
        "alone_ms": _quantiles(alone),
        "beside_ms": _quantiles(beside),
        "bad_per_second": round(statuses.total() / (ROUNDS * (share + 1))),
        "refused_unseen": round(statuses[429] / statuses.total(), 3),
    }


def _quantiles(waited: list[float]) -> dict[str, float]:
    hundredths = statistics.quantiles(waited, n=100)
    return {name: round(hundredths[at - 1] * 1000, 2) for name, at in (("p50", 50), ("p95", 95), ("p99", 99))}


@click.command()
@click.option("--seconds", default=5.0, show_default=True, type=click.FloatRange(1, 600), help="Of each kind.")
@click.option("--rate", default=2000.0, show_default=True, type=click.FloatRange(1), help="Bad keys a second.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--serve", "data_dir", type=click.Path(path_type=Path), hidden=True)
@click.option("--flood", "url", hidden=True)
def main(seconds: float, rate: float, as_json: bool, data_dir: Path | None, url: str | None) -> None:
    """Measure how long good keys wait beside bad ones."""
    if data_dir is not None:
        serve(data_dir)
        return
    if url is not None:
        print("under way", flush=True)
        print(json.dumps(asyncio.run(try_bad_keys(url, rate, seconds))))
        return
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".bad-keys-") as directory:
        result = measure(Path(directory), seconds, rate)
    if as_json:
        click.echo(json.dumps(result))
        return
    for name, words in (("alone_ms", "good keys alone"), ("beside_ms", "beside bad ones")):
        shown = ", ".join(f"{quantile} {ms:.1f} ms" for quantile, ms in result[name].items())
        click.echo(f"{words}: {shown}")
    click.echo(f"bad keys: {result['bad_per_second']} a second, {result['refused_unseen']:.0%} without a look-up")


if __name__ == "__main__":
    main()
