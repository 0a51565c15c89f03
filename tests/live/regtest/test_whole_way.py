"""The whole way: somebody registers, pays in, and spends it on an answer; the owner of the node that gave it withdraws
what it earned. Both payments are real."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from openai import OpenAI

from lightphon_core.testing.process import ServerProcess, until

pytestmark = pytest.mark.regtest

NODE = Path(sys.executable).with_name("lightphon-node")


@pytest.fixture
def start_node(server: ServerProcess, models: Path, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """`start_node(token)`: a node with one model, which greets, until the test ends."""
    with ExitStack() as stack:

        def start(token: str) -> None:
            environ = {**os.environ, "LIGHTPHON_NODE_TOKEN": token, "PYTHONWARNINGS": "error"}
            options = ["--server", server.url, "--node-name", "box", "--slots", "1", "--threads", "1"]
            with (tmp_path / "node.log").open("wb") as log:
                popen = subprocess.Popen(
                    [NODE, "run", models / "greeting.gguf", "--name", "greeting", *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environ,
                )
            stack.callback(popen.wait)
            stack.callback(popen.terminate)

        yield start


def test_from_a_deposit_to_the_earnings_of_a_nodes_owner(server, network, books, ann, owner, start_node):
    token = owner.person.ask("POST", "/api/node-tokens", {"name": "box"})["secret"]
    start_node(token)
    until(lambda: owner.person.ask("GET", "/api/nodes")["data"], "the node is there")

    ann.deposits(20_000)
    key = ann.person.ask("POST", "/api/keys", {"name": "laptop"})["secret"]
    with OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60) as client:
        until(lambda: "greeting" in [each.id for each in client.models.list()], "the model is on offer")
        answer = client.chat.completions.create(model="greeting", messages=[{"role": "user", "content": "Hi"}])
    assert answer.choices[0].message.content
    assert answer.usage.cost_msat == 5_000_000
    assert ann.has() == 15_000_000

    # Once a minute what was earned becomes its owner's.
    until(lambda: owner.has() == 4_500_000, "the owner has what the node earned, less the house's tenth", 90.0)
    paid = owner.ended(owner.withdraws(network.person.invoice(4_000)))

    assert paid["status"] == "paid"
    assert owner.has() == 500_000 - paid["fee_msat"]
    assert books.gained(network.house) == 20_000_000 - 4_000_000 - paid["fee_msat"]
    assert books.gained(network.hub) > 0
    books.check()
    assert "The books are right." in server.command("ledger", "verify")
