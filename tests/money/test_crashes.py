"""kill -9 under load, over and over: the books stay right, and nobody pays for what did not arrive."""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.ledger import chart
from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.storage.schema import entries, holds, postings

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

    def __init__(self, data_dir: Path) -> None:
        command = [sys.executable, str(Path(__file__).with_name("crash_server.py")), str(data_dir), "0", str(LEASE_S)]
        with (data_dir / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline().split()
        assert line, (data_dir / "server.log").read_text()[-2000:]
        self.port = int(line[1])

    def end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(20)
        self.process.stdout.close()


def stream_once(port: int, key: str, tally: Tally) -> None:
    """One streamed request, read to whatever end it has."""
    body = json.dumps({"model": "auto", "stream": True, "messages": [{"role": "user", "content": "Go."}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
    received = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            while data := client.recv(65536):
                received += data
    except OSError:
        pass
    words = received.count(b'"content":" word')
    shown = 0
    for line in received.split(b"\n"):
        if line.startswith(b"data: {") and b'"cost_msat"' in line:
            shown = json.loads(line.removeprefix(b"data: "))["usage"]["cost_msat"]
    with tally.lock:
        tally.words += words
        tally.shown_msat += shown
        tally.finished += bool(shown)


@pytest.fixture
def books(tmp_path):
    """A database with one rich account, and its key."""
    with Database(f"sqlite:///{tmp_path / 'lightphon.db'}") as database:
        migrate(database)
        with database.transaction() as connection:
            account = create_account(connection, "test", now=time.time())
            _, key = create_credential(connection, account, Kind.API_KEY, now=time.time())
            wallet = chart.wallet(account.id, chart.Origin.LIGHTNING)
            carry_out(connection, [Post("deposit", "test", "1", (Posting("clearing:test", wallet, FUNDS),))])
    return key


def charged(database: Database) -> int:
    with database.transaction() as connection:
        query = select(func.coalesce(func.sum(postings.c.amount), 0)).join(entries).where(entries.c.kind == "charge")
        return int(connection.execute(query).scalar_one())


def settled(database: Database, timeout_s: float) -> None:
    """Wait until no hold is left."""
    deadline = time.monotonic() + timeout_s
    while True:
        with database.transaction() as connection:
            left = connection.execute(select(func.count()).select_from(holds)).scalar_one()
        if not left:
            return
        assert time.monotonic() < deadline, f"{left} holds are stuck after their lease"
        threading.Event().wait(0.05)


def test_the_books_survive_kills(tmp_path, books, request):
    dice = random.Random(7)
    tally = Tally()
    for _ in range(request.config.getoption("--crashes")):
        gateway = Gateway(tmp_path)
        stop = threading.Event()

        def load(port: int = gateway.port, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                stream_once(port, books, tally)

        clients = [threading.Thread(target=load) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        threading.Event().wait(dice.uniform(0.05, 1.5))
        gateway.end(signal.SIGKILL)
        stop.set()
        for client in clients:
            client.join(20)
    gateway = Gateway(tmp_path)
    with Database(f"sqlite:///{tmp_path / 'lightphon.db'}") as database:
        settled(database, 3 * LEASE_S + 2)
        gateway.end(signal.SIGTERM)
        total = charged(database)
        with database.transaction() as connection:
            assert verify(connection) == []
    print(f"{tally.finished} answers finished; {tally.words} words arrived, {total // PRICE} were charged")
    assert tally.finished > 0
    assert tally.shown_msat <= total <= tally.words * PRICE


def test_a_gateway_that_sleeps_past_its_lease_does_not_charge_twice(tmp_path, books):
    tally = Tally()
    sleeper = Gateway(tmp_path)
    client = threading.Thread(target=stream_once, args=(sleeper.port, books, tally))
    client.start()
    threading.Event().wait(0.15)
    sleeper.process.send_signal(signal.SIGSTOP)
    other = Gateway(tmp_path)
    with Database(f"sqlite:///{tmp_path / 'lightphon.db'}") as database:
        settled(database, 3 * LEASE_S + 5)  # the other gateway reaps it
        at_reaping = charged(database)
        sleeper.process.send_signal(signal.SIGCONT)
        client.join(20)
        sleeper.end(signal.SIGTERM)
        other.end(signal.SIGTERM)
        assert charged(database) == at_reaping <= tally.words * PRICE
        assert tally.finished == 0, "an answer whose hold was lost must not look complete"
        with database.transaction() as connection:
            assert verify(connection) == []
