"""/nodes: one's own nodes, tokens and earnings, and how a node is added, as backends say it; /download without them."""

import html
import re
import time

import httpx
import pytest
from attrs import evolve
from litestar import get

from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import Terms
from lightphon_core.ledger import chart
from lightphon_core.ledger.commands import Capture, Count, Post, Posting, TakeHold
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import LedgerSettings, PricingSettings, Settings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import (
    MODEL_HERE,
    TOKEN_HERE,
    ConnectedNode,
    Load,
    Node,
    NodeSetup,
    NodeState,
    Price,
)
from lightphon_core.web.pages.frame.prices import price_in_words
from lightphon_core.web.pages.network.nodes import terms_in_words


class Adding(ScriptedBackend):
    """Takes nodes; `connected` are there."""

    def __init__(self, **options) -> None:
        super().__init__(says("x"), price=Price(per_minute=5_000), slots=4, **options)
        self.connected = []

    def nodes(self):
        return self.connected

    async def node_setup(self, server):
        command = f"TOKEN={TOKEN_HERE} join {server} {MODEL_HERE}"
        return NodeSetup("A <box>", "Answers & earns.", ["Power."], command, models=["m1", "m2"], more="/download")


class Failing(ScriptedBackend):
    async def node_setup(self, server):
        raise RuntimeError(server)


@pytest.fixture(scope="module")
def backend():
    return Adding()


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory, backend):
    failing = Failing(says("x"), name="failing")
    with run_server(tmp_path_factory.mktemp("nodes"), plugin_of(failing, backend)) as running:
        yield running


@pytest.fixture
def token(running):
    """`token(account, name)`: a node token."""

    def make(account, name):
        with running.server.database.transaction() as connection:
            made, _ = create_credential(connection, account, Kind.NODE_TOKEN, now=time.time(), terms=Terms(name))
        return made

    return make


def text_of(answer):
    assert answer.status_code == 200
    return re.sub(r"[ \n]+", " ", html.unescape(answer.text))


def test_who_has_none_is_told_what_it_means_and_how(people, running):
    answer = people("newcomer").get("/nodes")
    page = text_of(answer)
    assert "You have none yet" in page
    assert "<h3>A &lt;box&gt;</h3>" in answer.text
    assert f'data-command="TOKEN={TOKEN_HERE} join {running.url} {MODEL_HERE}"' in page
    assert 'value="m1"' in page
    assert 'href="/download"' not in page.partition("<main")[0], "no plugin has it, so the menu does not either"


def test_ones_own_nodes_their_state_and_what_they_ask(people, running, backend, token):
    owner, stranger = people("owner"), people("stranger")
    account = owner.account
    used, unused = token(account, "rack"), token(account, "attic")
    backend.owner = account.id
    here = Node("scripted-node", "scripted-node", account.id, facts={"gpu": "A <GPU>", "gpu_memory_bytes": 24 * 2**30})
    paused = Node("node-2", "garage", account.id)
    backend.connected = [ConnectedNode(here, credential=used.id), ConnectedNode(paused, NodeState.PAUSED)]
    loads = {"scripted/test-model": Load(busy=3, queued=2, facts={"tokens_per_s": 41.5})}
    backend.load = lambda: loads
    backend.changed()

    answer = owner.get("/nodes")
    page = text_of(answer)
    assert "A &lt;GPU&gt;" in answer.text
    for said in (
        "24 GiB of GPU memory",
        "3 of 4 slots busy, 2 waiting",
        "41.5 tokens/s",
        "5 sats per minute",
        "garage",
    ):
        assert said in page, said
    assert "as the node was started" in page
    assert "its operator or its schedule" in page
    assert f'data-token="{used.id}"' in page, "so that the page notices the node that it waits for"
    assert f"No node is connected with this token (…{unused.hint})" in page
    assert f"No node is connected with this token (…{used.hint})" not in page
    assert text_of(stranger.get("/nodes")).count("You have none yet") == 1

    price = {"model": "test-model", "per_request": 1_500}
    owner.put("/api/nodes/scripted-node/price", json=price).raise_for_status()
    page = text_of(owner.get("/nodes"))
    assert "1.5 sats per request" in page
    assert "set by you, here" in page
    owner.delete(f"/api/node-tokens/{unused.id}").raise_for_status()
    assert "attic" not in text_of(owner.get("/nodes"))


def test_what_was_earned(people, running):
    owner = people("earner")
    posting = Posting("clearing:x", chart.earnings(owner.account.id, chart.Origin.LIGHTNING), 1_234_567)
    with running.server.database.transaction() as connection:
        carry_out(connection, [Post("charge", "test", "1", (posting,))])
    page = text_of(owner.get("/nodes"))
    assert page.count("1\u202f234.567") == 3


def test_what_each_node_served_and_earned(people, running, backend):
    owner = people("owner-of-two")
    account = owner.account.id
    backend.connected = [ConnectedNode(Node(f"of-two-{name}", name, account)) for name in ("busy", "idle")]
    row = {"account_id": "somebody", "credential_id": "k", "model": "m", "node_id": "of-two-busy", "owner_id": account}
    row |= {"prompt_tokens": 1, "completion_tokens": 2, "ms": 3, "id": "job_of_two"}
    terms = {"payee": account, "house_bps": 1_000, "lease_us": 60_000_000}
    with running.server.database.transaction() as connection:
        funds = Posting(chart.ADJUSTMENTS, chart.wallet("somebody", chart.Origin.GRANTED), 5_000)
        posts = [Post("adjustment", "test", "funds of two", (funds,))]
        carry_out(connection, [*posts, TakeHold("job_of_two", "somebody", 5_000, 5_000, **terms)])
        carry_out(connection, [Capture("job_of_two", 2_500, row), Count({**row, "id": "free"})])
    page = text_of(owner.get("/nodes"))
    busy, _, idle = page.partition('data-name="idle"')
    assert "2.25 sats in 30 days, for 2 answers; today 2.25 sats, for 2" in busy
    assert "No answer yet" in idle
    assert "No answer yet" not in busy


def test_without_a_plugin_for_it_download_is_a_page_that_nothing_links_to(people, start_server, routes):
    page = people().get("/download")
    assert "No nodes here" in text_of(page)
    assert 'href="/download"' not in page.text

    @get("/download", include_in_schema=False)
    async def download() -> str:
        return "from a plugin"

    running = start_server(routes(download))
    assert httpx.get(running.url + "/download").text == "from a plugin"
    assert 'href="/download"' in httpx.get(running.url + "/", headers={"accept": "text/html"}).text


def test_what_is_the_owners_and_when(tmp_path):
    settings = Settings(data_dir=tmp_path)
    said = "Of what an answer costs, 100 % is for who runs the node: at once; "
    assert terms_in_words(settings) == f"{said}of what was paid by card after 120 days, since it can be disputed."
    ledger = LedgerSettings(earnings_delay_s=3_600, card_earnings_delay_s=3_600)
    settings = evolve(settings, pricing=PricingSettings(house_bps=250), ledger=ledger)
    assert terms_in_words(settings) == "Of what an answer costs, 97.5 % is for who runs the node: after 1 hour."


def test_a_price_of_several_parts_is_one_text():
    price = Price(per_minute=1_000, per_request=2_000)
    assert price_in_words(price) == "1 sat per minute + 2 sats per request"
