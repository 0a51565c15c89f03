"""A node's operator: pauses it, looks at it, and is paid the price that the account has set."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import openai
import pytest
from lightphon_backend_gguf.testing import scripted

from lightphon_core.accounts.people import get_account
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out

LIGHTPHON_NODE = Path(sys.executable).with_name("lightphon-node")


@pytest.fixture
def command(tmp_path, monkeypatch):
    """`command("pause")` runs `lightphon-node pause`, and returns what it prints."""
    monkeypatch.setenv("LIGHTPHON_NODE_STATE_DIR", str(tmp_path / "nodes"))

    def command(*words, status=0):
        done = subprocess.run([LIGHTPHON_NODE, *words], env=os.environ, capture_output=True, text=True, timeout=30)
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    return command


@pytest.fixture
def owner(start_system):
    """A system, and a client for its account, which has money to spend."""
    system = start_system(gguf={"account_s": 0.05})
    database = system.running.server.database
    with database.transaction() as connection:
        account = get_account(connection, "test")
        carry_out(connection, [adjustment.credit(account.id, 10_000, "to spend")])
        token = open_session(connection, account.id, now=time.time(), lifetime_s=600, recent_s=600)
    headers = {"origin": system.url}
    with httpx.Client(base_url=system.url, headers=headers, cookies={COOKIE: token}, timeout=30) as client:
        yield system, client


def test_a_day_of_an_operator(owner, command, until):
    system, client = owner
    node = system.start_node("greeting", "endless", slots=2, max_jobs=3, price="request=1")

    def status():
        return json.loads(command("status", "--json"))

    # The price of the command line, until the account sets one.
    (mine,) = client.get("/api/nodes").json()["data"]
    assert {each["price_set_by"] for each in mine["models"]} == {"node"}
    url = f"/api/nodes/{mine['id']}/price"
    assert client.put(url, json={"model": "greeting", "per_request": 2_000}).status_code == 200
    until(lambda: "Price of greeting: 2 sats a request, set in the account." in node.said())
    assert system.ask("greeting").usage.cost_msat == 2_000
    until(lambda: (status()["earnings"] or {}).get("total"))
    found = status()
    assert found["earnings"] == {"today": 2_000, "total": 2_000, "pending": 2_000}
    assert (found["link"], found["paused"], found["max_jobs"]) == ("connected", None, 3)
    greeting, endless = found["models"]
    assert (greeting["id"], greeting["price"]["per_request"], greeting["price_set_by"]) == (
        "greeting",
        2_000,
        "account",
    )
    ended = until(lambda: not (model := status()["models"][0])["busy"] and model)  # the client may hear of it first
    assert (ended["done"], ended["failed"], ended["cancelled"]) == (1, 0, 0)
    assert (endless["price"]["per_request"], endless["price_set_by"]) == (1_000, "node")

    # A pause: what runs goes on, nothing new comes.
    with system.ask("endless", stream=True, max_tokens=50_000) as stream:
        next(stream)
        assert command("pause").startswith("Paused")
        until(lambda: not system.seen())
        (mine,) = client.get("/api/nodes").json()["data"]
        assert (mine["name"], mine["state"], mine["models"]) == ("box", "paused", [])
        with pytest.raises(openai.InternalServerError):
            system.ask("greeting")
        for _ in range(100):
            next(stream)
        lines = command("status", "--node-name", "box")
        assert "jobs      paused by hand, 1 running, at most 3 at once" in lines
        assert scripted.ENDLESS.pieces[0].strip() not in lines.split()
    assert command("resume") == "Taking jobs.\n"
    until(lambda: system.on_offer("box:greeting", "box:endless"))
    assert client.get("/api/nodes").json()["data"][0]["state"] == "online"
    assert client.delete(url, params={"model": "greeting"}).json()["price_set_by"] == "node"
    assert system.ask("greeting").usage.cost_msat == 1_000

    assert "these do: box" in command("pause", "--node-name", "bix", status=1)
    assert command("stop").startswith("Stopping")
    assert node.end() == 0
    assert command("status", status=1) == "Error: No node of yours runs on this machine.\n"
    assert "Traceback" not in node.said()
