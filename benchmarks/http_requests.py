"""What the ledger leaves for whole requests: chat completions a second over HTTP, free ones and charged ones.

    uv run python benchmarks/http_requests.py [--seconds S] [--json]

A gateway in a process of its own answers from a scripted backend, with one word, over an SQLite file beside this one;
a client in another keeps 32 requests under way. Free and charged rounds take turns.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import click

from lightphon_core import Model, Price
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.ledger import chart
from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import LogSettings, Settings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says

CLIENTS = 32
ROUNDS = 3
PRICE = Price(per_request=10, per_mtok_completion=1_000_000)


def serve(data_dir: Path) -> None:
    """The gateway: prints its URL, and ends when its standard input does."""
    from lightphon_core import log
    from lightphon_core.testing import LiveServer

    log.configure(LogSettings(level="warning"))
    free = ScriptedBackend(says("word"), name="free", models=[Model("free")], slots=1_000)
    charged = ScriptedBackend(says("word"), name="charged", models=[Model("charged")], slots=1_000, price=PRICE)
    with LiveServer(Settings(data_dir=data_dir), sources=[plugin_of(free, charged)]) as server:
        print(server.url, flush=True)
        sys.stdin.read()


async def ask(url: str, key: str, model: str, seconds: float) -> float:
    """Answers a second."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    began = time.perf_counter()
    async with aiohttp.ClientSession(headers=headers) as session:

        async def client() -> int:
            answers = 0
            while time.perf_counter() - began < seconds:
                async with session.post(f"{url}/v1/chat/completions", data=body) as reply:
                    await reply.read()
                    if reply.status != 200:
                        raise click.ClickException(f"The gateway answered with status {reply.status}.")
                answers += 1
            return answers

        answers = sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))
    return answers / (time.perf_counter() - began)


def prepare(data_dir: Path) -> str:
    """A database with a rich account; returns its key."""
    with Database(Settings(data_dir=data_dir).database_url) as database:
        migrate(database)
        with database.transaction() as connection:
            account = create_account(connection, "bench", now=time.time())
            _, key = create_credential(connection, account, Kind.API_KEY, now=time.time())
            wallet = chart.wallet(account.id, chart.Origin.LIGHTNING)
            carry_out(connection, [Post("deposit", "benchmark", "1", (Posting("clearing:benchmark", wallet, 10**15),))])
    return key


def measure(data_dir: Path, seconds: float) -> dict[str, float]:
    """Medians of the rounds, and of the pairs' ratios."""
    key = prepare(data_dir)
    command = [sys.executable, __file__, "--serve", str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        try:
            url = gateway.stdout.readline().strip()
            share = seconds / (2 * ROUNDS + 1)
            asyncio.run(ask(url, key, "charged", share))
            pairs = [
                (asyncio.run(ask(url, key, "free", share)), asyncio.run(ask(url, key, "charged", share)))
                for _ in range(ROUNDS)
            ]
        finally:
            gateway.stdin.close()
    with Database(Settings(data_dir=data_dir).database_url) as database, database.snapshot() as connection:
        if problems := verify(connection):
            raise click.ClickException("The books are wrong: " + "; ".join(problems))
    return {
        "free_per_second": statistics.median(free for free, _ in pairs),
        "charged_per_second": statistics.median(charged for _, charged in pairs),
        "ratio": statistics.median(charged / free for free, charged in pairs),
    }


@click.command()
@click.option("--seconds", default=14.0, show_default=True, type=click.FloatRange(1, 600), help="How long to measure.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--serve", "data_dir", type=click.Path(path_type=Path), hidden=True)
def main(seconds: float, as_json: bool, data_dir: Path | None) -> None:
    """Measure whole requests a second, free and charged."""
    if data_dir is not None:
        serve(data_dir)
        return
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".requests-") as directory:
        result = measure(Path(directory), seconds)
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"free     {result['free_per_second']:7.0f} requests/s")
    click.echo(f"charged  {result['charged_per_second']:7.0f} requests/s, {result['ratio']:.2f} of the free ones")


if __name__ == "__main__":
    main()
