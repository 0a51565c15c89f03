"""Nodes that join and die at random under a server that clients keep busy: nothing is lost, and nothing is left."""

import asyncio
import gc
import json
import random
import time
import tracemalloc
from collections import Counter

import httpx
import pytest
from attrs import define, field
from lightphon_backend_gguf.protocol.account import PriceMessage
from lightphon_backend_gguf.testing.simulated import SimulatedNode, Simulation
from sqlalchemy import func, select

from lightphon_core.accounts.people import get_account
from lightphon_core.ledger import chart
from lightphon_core.ledger.audit import verify
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.plugins import installed
from lightphon_core.settings import PluginsSettings
from lightphon_core.storage.schema import holds

PLAN = Simulation(chunks=20, pause_s=0.002, price=PriceMessage(per_mtok_completion=1_000_000))
STEADY = 2
"""Nodes that stay, so that there is mostly somebody to try next."""


@define
class Churn:
    """What happened."""

    url: str
    api_key: str = field(repr=False)
    node_token: str = field(repr=False)
    seed: int
    lifetime_s: float = 0.5
    ends: Counter = field(factory=Counter)
    deaths: int = 0
    over: asyncio.Event = field(factory=asyncio.Event)

    async def node(self, number: int) -> None:
        """A node that comes back as long as it goes on: it dies at random."""
        chance = random.Random(self.seed + number)
        address = self.url.replace("http://", "ws://") + "/api/node-link"
        while not self.over.is_set():
            node = SimulatedNode(address, self.node_token, f"node-{number}", PLAN)
            running = asyncio.create_task(node.run())
            over = asyncio.create_task(self.over.wait())
            lives_s = None if number < STEADY else chance.expovariate(1 / self.lifetime_s)
            await asyncio.wait({running, over}, timeout=lives_s, return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            self.deaths += 1
            if chance.random() < 0.7:
                node.die()
            running.cancel()  # one that did not die leaves in order, its jobs unfinished
            await asyncio.gather(running, return_exceptions=True)

    async def client(self, http: httpx.AsyncClient, enough) -> None:
        while not enough(self):
            self.ends[await self._ask(http)] += 1

    async def _ask(self, http: httpx.AsyncClient) -> str:
        """One streamed answer; how it ended. Anything that is neither an answer nor a clean error is a failure."""
        body = {"model": "simulated", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 50}
        text, last, done = "", None, False
        async with http.stream("POST", f"{self.url}/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                error = json.loads(await answer.aread())["error"]
                assert (answer.status_code, error["code"]) in {
                    (503, "no_nodes_available"),
                    (404, "model_not_available"),
                    (404, "model_not_found"),
                }, error
                await asyncio.sleep(0.02)
                return error["code"]
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    done = True
                elif line.startswith("data: "):
                    last = json.loads(line[6:])
                    text += "".join(choice["delta"].get("content") or "" for choice in last["choices"])
        if "error" in last:
            assert not done, "an answer that broke off must not look complete"
            assert PLAN.text.startswith(text)
            return "broken off"
        assert done, "the stream ended without a word"
        assert text == PLAN.text, "a part of the answer is missing"
        assert last["usage"]["completion_tokens"] == PLAN.chunks
        return "answered"

    async def run(self, nodes: int, clients: int, enough) -> None:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        limits = httpx.Limits(max_connections=clients)
        async with (
            httpx.AsyncClient(headers=headers, limits=limits, timeout=30) as http,
            asyncio.TaskGroup() as joined,
        ):
            for number in range(nodes):
                joined.create_task(self.node(number))
            async with asyncio.TaskGroup() as asking:
                for _ in range(clients):
                    asking.create_task(self.client(http, enough))
            self.over.set()


@pytest.fixture
def churn(run_server, tmp_path):
    """A server with the hub and money, and a check at the end that nothing is left over."""
    gguf = {"heartbeat_s": 0.5, "max_nodes_per_token": 100}
    with run_server(
        tmp_path / "data", *installed(), plugins=PluginsSettings(tables={"gguf": gguf}), limits={}
    ) as running:
        server = running.server
        with server.database.transaction() as connection:
            wallet = chart.wallet(get_account(connection, "test").id, Origin.LIGHTNING)
            deposit = Posting("clearing:test", wallet, 10**12)
            carry_out(connection, [Post("deposit", "test", "1", (deposit,))])

        async def tasks() -> set[str]:
            return {task.get_name() for task in asyncio.all_tasks()}

        before = server.call(tasks())
        yield Churn(running.url, running.api_key, running.node_token, seed=time.time_ns() % 2**32)
        # Nothing tells that the last task of another thread's loop has ended, so it is looked at until it has.
        deadline = time.monotonic() + 10
        while len(server.call(tasks())) > len(before) and time.monotonic() < deadline:
            time.sleep(0.05)
        left = server.call(tasks()) - before
        assert len(server.call(tasks())) <= len(before), f"tasks were left running: {left}"
        assert not server.gateway.catalogue.entries(), "a node that has gone is still on offer"
        with server.database.transaction() as connection:
            assert verify(connection) == []
            assert connection.execute(select(func.count()).select_from(holds)).scalar_one() == 0, "a hold was left"


async def test_requests_end_well_or_cleanly_while_nodes_come_and_go(churn):
    await churn.run(8, 8, lambda so_far: so_far.ends.total() >= 200)
    assert churn.ends["answered"] > 100, churn
    assert churn.deaths > 8


@pytest.mark.soak
async def test_fifty_nodes_come_and_go_for_long(churn, request):
    seconds = request.config.getoption("--churn-seconds")

    churn.lifetime_s = 3

    def for_(share: float):
        until = time.monotonic() + seconds * share
        return lambda _: time.monotonic() >= until

    # Clients, nodes and server share this process, so what any of them keeps is seen.
    await churn.run(50, 16, for_(0.2))
    churn.over.clear()
    gc.collect()
    tracemalloc.start()
    try:
        await churn.run(50, 16, for_(0.2))
        churn.over.clear()
        gc.collect()
        first = tracemalloc.take_snapshot()
        await churn.run(50, 16, for_(0.6))
        gc.collect()
        places = tracemalloc.take_snapshot().compare_to(first, "filename")
    finally:
        tracemalloc.stop()
    places = [place for place in places if "tracemalloc" not in place.traceback[0].filename]
    grown = sum(place.size_diff for place in places)
    most = "\n".join(map(str, places[:8]))
    print(f"churn: {dict(churn.ends)}, {churn.deaths} deaths, {grown / 1024:.0f} KiB grown, seed {churn.seed}")
    assert churn.ends["answered"] > churn.ends.total() / 2, churn
    assert grown < 4 * 1024 * 1024, f"memory grew by {grown / 2**20:.1f} MiB:\n{most}"
