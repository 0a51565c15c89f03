"""How long good keys wait while others try bad ones, over HTTP.

    uv run python benchmarks/bad_keys.py [--seconds S] [--rate N] [--addresses N] [--json]

`lightphon serve` as an operator runs it, over an SQLite file beside this one and with its log in a file. A client asks
for the list of models with one good key every 20 ms, and every 100 ms with a good one that was never used before. In
every second round another process tries well-formed keys that nobody has, over up to 256 connections, at a given rate
as far as the gateway keeps up. It claims to be a trusted proxy, and names another of `--addresses` addresses for each
request (X-Forwarded-For), in turn: 1 is one attacker, 50,000 are a botnet.
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
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import click
import uvloop

from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind, new_secret
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database
from lightphon_core.testing.process import ServerProcess

ROUNDS = 3
PAUSE_S = 0.02
NEW_PAUSE_S = 0.1
CONNECTIONS = 256
KEYS_OF_AN_ACCOUNT = 100
PROXY = '[server]\ntrusted_proxies = ["127.0.0.1"]'


async def try_bad_keys(url: str, rate: float, seconds: float, addresses: int) -> Counter[int]:
    """How often each status came."""
    statuses: Counter[int] = Counter()
    made = [new_secret(Kind.API_KEY) for _ in range(4_000)]  # none is familiar at the second time either
    host, port = urlsplit(url).hostname, urlsplit(url).port
    began = time.perf_counter()
    numbers = count()

    async def client() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        while (number := next(numbers)) < rate * seconds and (now := time.perf_counter() - began) < seconds:
            await asyncio.sleep(max(0, number / rate - now))
            address = IPv4Address("10.0.0.0") + number % addresses
            head = f"GET /v1/models HTTP/1.1\r\nHost: {host}:{port}\r\nX-Forwarded-For: {address}\r\n"
            writer.write(f"{head}Authorization: Bearer {made[number % len(made)]}\r\n\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            statuses[int(answer[9:12])] += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return statuses


class Good:
    """What became of good keys: seconds that each answer took, to one that is in use and to those that were not yet."""

    def __init__(self) -> None:
        self.used: list[float] = []
        self.new: list[float] = []
        self.new_refused = 0

    async def ask(self, url: str, key: str, unused: Iterator[str], seconds: float) -> None:
        """Ask for that long."""
        ends = time.perf_counter() + seconds
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as both:
            both.create_task(self._ask_with_one(session, url, key, ends))
            both.create_task(self._ask_with_new(session, url, unused, ends))

    async def _ask_with_one(self, session: aiohttp.ClientSession, url: str, key: str, ends: float) -> None:
        while time.perf_counter() < ends:
            status, waited = await _asked(session, url, key)
            if status != 200:
                raise click.ClickException(f"A good key was answered with status {status}.")
            self.used.append(waited)
            await asyncio.sleep(PAUSE_S)

    async def _ask_with_new(self, session: aiohttp.ClientSession, url: str, unused: Iterator[str], ends: float) -> None:
        while time.perf_counter() < ends:
            status, waited = await _asked(session, url, next(unused))
            self.new_refused += status != 200
            self.new.append(waited)
            await asyncio.sleep(NEW_PAUSE_S)

    def summary(self) -> dict[str, Any]:
        """Milliseconds, and the share of new keys that were not let in at the first time."""
        refused = round(self.new_refused / len(self.new), 3)
        return {"used_ms": _quantiles(self.used), "new_ms": _quantiles(self.new), "new_refused": refused}


async def _asked(session: aiohttp.ClientSession, url: str, key: str) -> tuple[int, float]:
    """Status, and seconds until the answer was there."""
    began = time.perf_counter()
    async with session.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}) as reply:
        await reply.read()
        return reply.status, time.perf_counter() - began


def prepare(data_dir: Path, many: int) -> Iterator[str]:
    """Good keys that nobody has used yet."""
    keys: list[str] = []
    with Database(Settings(data_dir=data_dir).database_url) as database, database.transaction() as connection:
        for number in range(many):
            if number % KEYS_OF_AN_ACCOUNT == 0:
                account = create_account(connection, f"bench{number}", now=time.time())
            keys.append(create_credential(connection, account, Kind.API_KEY, now=time.time())[1])
    return iter(keys)


def measure(folder: Path, seconds: float, rate: float, addresses: int) -> dict[str, Any]:
    """What `Good` has to say of good keys, alone and beside bad ones; and what became of those."""
    share = seconds / ROUNDS
    alone, beside = Good(), Good()
    statuses: Counter[int] = Counter()
    spent: dict[Good, float] = {alone: 0.0, beside: 0.0}
    flood = [sys.executable, __file__, "--seconds", str(share + 1), "--rate", str(rate), "--addresses", str(addresses)]
    with ServerProcess(folder, PROXY) as gateway:
        unused = prepare(gateway.data_dir, 100 + round(2 * seconds / NEW_PAUSE_S))
        key = next(unused)
        asyncio.run(Good().ask(gateway.url, key, unused, 0.5))
        for _ in range(ROUNDS):
            before = gateway.cpu_s()
            asyncio.run(alone.ask(gateway.url, key, unused, share))
            after = gateway.cpu_s()
            with subprocess.Popen([*flood, "--flood", gateway.url], stdout=subprocess.PIPE, text=True) as others:
                assert others.stdout is not None
                others.stdout.readline()  # under way
                asyncio.run(beside.ask(gateway.url, key, unused, share))
                statuses.update({int(status): times for status, times in json.loads(others.stdout.read()).items()})
            spent[alone] += after - before
            spent[beside] += gateway.cpu_s() - after
    return {
        "alone": alone.summary(),
        "beside": beside.summary(),
        "bad_per_second": round(statuses.total() / (ROUNDS * (share + 1))),
        "refused_unseen": round(statuses[429] / statuses.total(), 3),
        "cpu_us_per_bad_key": round((spent[beside] - spent[alone]) / statuses.total() * 1_000_000),
    }


def _quantiles(waited: list[float]) -> dict[str, float]:
    hundredths = statistics.quantiles(waited, n=100)
    return {name: round(hundredths[at - 1] * 1000, 2) for name, at in (("p50", 50), ("p95", 95), ("p99", 99))}


@click.command()
@click.option("--seconds", default=6.0, show_default=True, type=click.FloatRange(1, 600), help="Of each kind.")
@click.option("--rate", default=2000.0, show_default=True, type=click.FloatRange(1), help="Bad keys a second.")
@click.option("--addresses", default=1, show_default=True, type=click.IntRange(1, 2**24), help="They come from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--flood", "url", hidden=True)
def main(seconds: float, rate: float, addresses: int, as_json: bool, url: str | None) -> None:
    """Measure how long good keys wait beside bad ones."""
    if url is not None:
        print("under way", flush=True)
        print(json.dumps(uvloop.run(try_bad_keys(url, rate, seconds, addresses))))
        return
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".bad-keys-") as folder:
        result = measure(Path(folder), seconds, rate, addresses)
    if as_json:
        click.echo(json.dumps(result))
        return
    for when in ("alone", "beside"):
        for name, words in (("used_ms", "a key in use"), ("new_ms", "new keys")):
            shown = ", ".join(f"{quantile} {ms:.1f} ms" for quantile, ms in result[when][name].items())
            click.echo(f"{when}, {words}: {shown}")
        click.echo(f"{when}, new keys that were told to come again: {result[when]['new_refused']:.0%}")
    click.echo(
        f"bad keys: {result['bad_per_second']} a second, {result['refused_unseen']:.0%} without a look-up, "
        f"{result['cpu_us_per_bad_key']} us of CPU each"
    )


if __name__ == "__main__":
    main()
