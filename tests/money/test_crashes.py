"""kill -9 under load, over and over: the books stay right, and nobody pays for what did not arrive."""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import func, select

from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.ledger import chart
from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.budgets import Period, budgets_of, set_budgets
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import credentials, entries, holds, postings

CLIENTS = 6
LEASE_S = 1.0
FUNDS = 10**12
PRICE = 1_000
"""Millisatoshi for a word."""


class Tally:
    """What the clients saw: words that arrived, and the costs that they were shown."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.words = 0
        self.finished = 0
        self.shown_msat = 0


class Gateway:
    """The server process of `crash_server.py`."""

    def __init__(self, data_dir: Path, url: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("crash_server.py")), str(data_dir), url, str(LEASE_S)]
        with (data_dir / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline().split()
        assert line, (data_dir / "server.log").read_text()[-2000:]
        self.port = int(line[1])

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(20)

    def close(self) -> None:
        self.process.kill()  # whether it sleeps or not
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture
def start_gateway(tmp_path, database_url):
    """`start_gateway()`: none of them outlives the test, whatever becomes of it."""
    with ExitStack() as gateways:

        def start() -> Gateway:
            gateway = Gateway(tmp_path, database_url)
            gateways.callback(gateway.close)
            return gateway

        yield start


def stream_once(port: int, key: str, tally: Tally, words: int) -> None:
    """One streamed request for so many words, read to whatever end it has."""
    asked = {"model": "auto", "stream": True, "max_tokens": words, "messages": [{"role": "user", "content": "Go."}]}
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
    )
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            while data := client.recv(65536):
                received += data
    except OSError:
        pass
    shown = 0
    for line in received.split(b"\n"):
        if line.startswith(b"data: {") and b'"cost_msat"' in line:
            shown = json.loads(line.removeprefix(b"data: "))["usage"]["cost_msat"]
    with tally.lock:
        tally.words += received.count(b'"content":" word')
        tally.shown_msat += shown
        tally.finished += bool(shown)


@pytest.fixture
def key(database_url):
    """The key of one rich account in the database. It has a budget, which is ample."""
    with Database(database_url) as database, database.transaction() as connection:
        account = create_account(connection, "test", now=time.time())
        credential, key = create_credential(connection, account, Kind.API_KEY, now=time.time())
        set_budgets(connection, credential.id, {Period.TOTAL: FUNDS})
        wallet = chart.wallet(account.id, chart.Origin.LIGHTNING)
        carry_out(connection, [Post("deposit", "test", "1", (Posting("clearing:test", wallet, FUNDS),))])
    return key


def charged(database: Database) -> int:
    with database.transaction() as connection:
        query = select(func.coalesce(func.sum(postings.c.amount), 0)).join(entries).where(entries.c.kind == "charge")
        return int(connection.execute(query).scalar_one())


def budget_in(database: Database) -> tuple[int, int]:
    """What is spent and held of the key's budget."""
    with database.transaction() as connection:
        (key,) = connection.scalars(select(credentials.c.id))
        (budget,) = budgets_of(connection, [key])[key]
    return budget.spent, budget.held


def holds_in(database: Database) -> int:
    with database.transaction() as connection:
        return int(connection.execute(select(func.count()).select_from(holds)).scalar_one())


def delivered(database: Database) -> int:
    """The checkpoints of all holds."""
    with database.transaction() as connection:
        return int(connection.execute(select(func.coalesce(func.sum(holds.c.checkpoint), 0))).scalar_one())


def until(condition: Callable[[], object], timeout_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, otherwise
        threading.Event().wait(0.02)


def test_the_books_survive_kills(start_gateway, database_url, database_kind, key, request):
    dice = random.Random(7)
    tally = Tally()
    crashes = request.config.getoption("--crashes")
    for _ in range(crashes if database_kind == "sqlite" else max(3, crashes // 3)):
        gateway = start_gateway()
        stop = threading.Event()

        def load(port: int = gateway.port, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                stream_once(port, key, tally, 60)

        clients = [threading.Thread(target=load) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        threading.Event().wait(dice.uniform(0.05, 1.5))
        gateway.end(signal.SIGKILL)
        stop.set()
        for client in clients:
            client.join(20)
    gateway = start_gateway()
    with Database(database_url) as database:
        until(lambda: not holds_in(database), 3 * LEASE_S + 2, "holds are stuck after their lease")
        gateway.end(signal.SIGTERM)
        total = charged(database)
        assert budget_in(database) == (total, 0)
        with database.transaction() as connection:
            assert verify(connection) == []
    print(f"{tally.finished} answers finished; {tally.words} words arrived, {total // PRICE} were charged")
    assert tally.finished > 0
    assert tally.shown_msat <= total <= tally.words * PRICE


def test_a_gateway_that_sleeps_past_its_lease_does_not_charge_twice(start_gateway, database_url, key):
    tally = Tally()
    sleeper = start_gateway()
    # Before the other falls asleep, which may be while it holds the lock of those who write.
    other = start_gateway()
    client = threading.Thread(target=stream_once, args=(sleeper.port, key, tally, 400))
    client.start()
    with Database(database_url) as database:
        until(lambda: delivered(database), 20, "nothing was delivered")
    sleeper.process.send_signal(signal.SIGSTOP)
    with Database(database_url) as database:
        # The other gateway reaps it.
        until(lambda: not holds_in(database), 3 * LEASE_S + 15, "the hold is stuck after its lease")
        at_reaping = charged(database)
        sleeper.process.send_signal(signal.SIGCONT)
        client.join(20)
        sleeper.end(signal.SIGTERM)
        other.end(signal.SIGTERM)
        assert charged(database) == at_reaping <= tally.words * PRICE
        assert tally.finished == 0, "an answer whose hold was lost must not look complete"
        with database.transaction() as connection:
            assert verify(connection) == []
