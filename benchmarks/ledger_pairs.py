"""How many answers the ledger can pay for: a durable hold and its capture, through the ledger's own interface.

    uv run python benchmarks/ledger_pairs.py [--seconds S] [--json] [--database URL]

Without --database it makes an SQLite file beside this one, so it measures the disk that the repository is on. Every
hold and every capture is on disk (synchronous=FULL) before it is answered; those that wait at the same time share a
commit. At the end the books are proved.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import secrets
import tempfile
import time
from itertools import count
from pathlib import Path

import click
from attrs import asdict, frozen

from lightphon_core.ledger import chart
from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.commands import Capture, Post, Posting, TakeHold
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate

CLIENTS = (1, 16, 64, 256)
USERS = 20
OWNERS = 5
LEASE_US = 30_000_000


@frozen
class Result:
    """`pairs` holds were taken and captured in `seconds`, by so many clients at once, one after the other each."""

    clients: int
    pairs: int
    seconds: float

    @property
    def per_second(self) -> int:
        return round(self.pairs / self.seconds)


async def measure(ledger: Ledger, run: str, clients: int, seconds: float) -> Result:
    """Have `clients` answers paid for at any moment, for `seconds`."""
    numbers = count()
    began = time.perf_counter()

    async def client() -> int:
        pairs = 0
        while time.perf_counter() - began < seconds:
            number = next(numbers)
            hold, user, owner = f"{run}_{number}", f"acc_user{number % USERS}", f"acc_owner{number % OWNERS}"
            # Of a key, as all are, and without a budget, as most are: that there is none must be found out.
            await ledger.do(TakeHold(hold, user, 1_000, 100, owner, 500, LEASE_US, "a model", f"cred_{user}"))
            await ledger.do(Capture(hold, 700))
            pairs += 1
        return pairs

    pairs = sum(await asyncio.gather(*(client() for _ in range(clients))))
    return Result(clients, pairs, time.perf_counter() - began)


async def run(url: str, seconds: float) -> list[Result]:
    """One result for each number of clients, `seconds` in all, after a short warming up."""
    with Database(url) as database:
        migrate(database)
        ledger = Ledger(database)
        for user in range(USERS):
            wallet = chart.wallet(f"acc_user{user}", chart.Origin.LIGHTNING)
            funds = (Posting("clearing:benchmark", wallet, 10**12),)
            await ledger.do(Post("deposit", "benchmark", secrets.token_hex(8), funds))
        await measure(ledger, secrets.token_hex(4), 64, seconds / 20)
        share = seconds / len(CLIENTS)
        results = [await measure(ledger, secrets.token_hex(4), clients, share) for clients in CLIENTS]
        await ledger.close()
        with database.snapshot() as connection:
            problems = verify(connection)
        if problems:
            raise click.ClickException("The books are wrong: " + "; ".join(problems))
    return results


@click.command()
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(1, 600), help="How long to measure.")
@click.option("--database", "url", help="Database URL, instead of a new SQLite file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(seconds: float, url: str | None, as_json: bool) -> None:
    """Measure durable pairs of hold and capture a second."""
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".ledger-") as directory:
        results = asyncio.run(run(url or f"sqlite:///{directory}/lightphon.db", seconds))
    if as_json:
        machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        shown = [{**asdict(result), "per_second": result.per_second} for result in results]
        click.echo(json.dumps({"machine": machine, "results": shown}))
        return
    click.echo("clients   pairs/s")
    for result in results:
        click.echo(f"{result.clients:>7}   {result.per_second:>7}")


if __name__ == "__main__":
    main()
