"""/router: what it shows is what the JSON API answers, and nothing of anybody else's."""

import html
import re
import time

import httpx
import pytest

from lightphon_core import Model, Price
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.accounts.terms import NAME_LENGTH, Terms
from lightphon_core.ledger.budgets import Period, set_budgets
from lightphon_core.ledger.commands import Count
from lightphon_core.ledger.periods import DAY_US
from lightphon_core.ledger.store import carry_out
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import Capability

CHAT = frozenset({Capability.CHAT, Capability.TOOLS})
QWEN = Model("qwen/Qwen3-8B-GGUF", CHAT, 32768, "qwen", 8.19, "Q4_K_M")
LLAMA = Model("meta/Llama-70B", CHAT, 8192, "meta", 70.6, "Q8_0")
HOSTILE = Model("x\"'><script>alert(1)</script>$(id)", CHAT)
CLAW = Model("openclaw/answers", CHAT, owned_by="OpenClaw")


class House:
    """A server with two GPU nodes and an OpenClaw, and somebody who is logged in to it."""

    def __init__(self, running, backends):
        self.running, (self.cellar, self.attic, self.claw) = running, backends
        now = time.time()
        with running.server.database.transaction() as connection:
            self.account = create_account(connection, "alice", now=now)
            token = open_session(connection, self.account.id, now=now, lifetime_s=600, recent_s=600)
        headers = {"accept": "text/html", "origin": running.url, "cookie": f"{COOKIE}={token}"}
        self.client = httpx.Client(base_url=running.url, headers=headers, timeout=30)

    def page(self, **query) -> str:
        answer = self.client.get("/router", params=query)
        assert answer.status_code == 200
        return answer.text

    def ranking(self, **query) -> str:
        return self.page(**query).partition('id="ranking"')[2].partition('aria-labelledby="step-3"')[0]

    def routed(self, **filters):
        return self.client.post("/api/models/route", json=filters).json()


@pytest.fixture(scope="module")
def shared(run_server, tmp_path_factory):
    made = [
        ScriptedBackend(says("x"), name="cellar", models=[QWEN], slots=4, price=Price(per_mtok_completion=20_000_000)),
        ScriptedBackend(says("x"), name="attic", models=[QWEN, LLAMA], price=Price(per_minute=5000)),
        ScriptedBackend(says("x"), name="claw", models=[CLAW], gateway="openclaw", price=Price()),
    ]
    sources = [plugin_of(each, name=each.name) for each in made]
    with run_server(tmp_path_factory.mktemp("router"), *sources) as running:
        house = House(running, made)
        with house.client:
            yield house


@pytest.fixture
def house(shared):
    """Everybody is online again afterwards."""
    yield shared
    for backend, models in ((shared.cellar, [QWEN]), (shared.attic, [QWEN, LLAMA]), (shared.claw, [CLAW])):
        backend.online, backend.models = True, models
        backend.changed()


def names(part):
    return [html.unescape(each) for each in re.findall(r"<h3><code>(.*?)</code>", part)]


def text(part):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split())


def test_the_ranking_is_the_routers(house):
    for filters in ({}, {"sort": "price"}, {"providers": "qwen", "min_context": 10_000}, {"exclude": "claw-node"}):
        part = house.ranking(**filters)
        answer = house.routed(**filters)
        assert names(part) == ["auto", *(each["model"] for each in answer["candidates"])]
        assert len(answer["candidates"]) > 0
        scores = [f"{each['score']:.2f}" for each in answer["candidates"]]
        assert re.findall(r"candidate-score\">(\S+) ", part) == scores
        parts = [scorer for each in answer["candidates"] for scorer in each["parts"]]
        bars = re.findall(r'<li><span class="score-name">(\w+)</span>.*?</li>', part, re.DOTALL)
        assert set(parts) <= set(bars)
        assert len(bars) == 5 * len(scores)
        for condition, count in answer["excluded"].items():
            assert f"{count} by {condition} : " in text(part)


def test_what_a_row_says(house):
    cellar = text(house.ranking(exclude="attic-node, claw-node"))
    for words in (
        "GPU node on cellar-node",
        "chat tools",
        "Maker qwen",
        "Size 8.19 B Q4_K_M",
        "Context 32 768 tokens",
        "Nodes online 2",
        "Slots busy 0 of 4",
        "Speed unknown",
        "Expected cost 8 sats",
        "Price 20 sats per 1,000 tokens of answer",
    ):
        assert words in cellar.replace("\u202f", " "), words
    assert "OpenClaw" not in cellar
    assert "OpenClaw on claw-node" in text(house.ranking(owned_by="openclaw"))


def test_speeds_that_were_measured_are_there(house):
    router = house.running.server._app.state.gateway.router
    router.observations.answered(("claw", "claw/openclaw/answers"), ttft_s=0.31, tokens=83, seconds=2)
    assert "Speed 41.5 tokens/s First token 310 ms" in text(house.ranking(owned_by="OpenClaw"))


def test_nodes_come_and_go(house):
    assert LLAMA.id in names(house.ranking())
    house.attic.online = False
    house.attic.changed()
    assert LLAMA.id not in names(house.ranking())
    assert "Llama-70B is not online" in text(house.ranking(use=LLAMA.id))
    for each in (house.cellar, house.claw):
        each.online = False
        each.changed()
    nothing = house.ranking()
    assert "No model is online" in text(nothing)
    assert 'href="/download"' in nothing
    house.attic.online = True
    house.attic.changed()
    assert names(house.ranking()) == ["auto", *(each["model"] for each in house.routed()["candidates"])]


def test_filters_that_leave_nothing_and_filters_that_are_wrong(house):
    assert "Nothing is left" in text(house.ranking(min_params_b="500"))
    page = house.page(sort="colour", min_params_b="x")
    ranking = page.partition('id="ranking"')[2]
    assert "Invalid value for" in text(ranking)
    assert "candidate-head" not in ranking
    field = re.search(r'<input id="filter-min_params_b"[^>]*>', page)[0]
    assert 'value="x"' in field
    assert 'aria-invalid="true"' in re.search(r'<input id="filter-min_params_b"[^>]*>', house.page(min_params_b="x"))[0]


def test_the_model_that_was_chosen_is_in_the_snippets(house):
    page = house.page(use=LLAMA.id, sort="price")
    assert f'"model": "{LLAMA.id}"' in html.unescape(re.sub(r"<[^>]*>", "", page))
    assert 'href="/playground?model=meta/Llama-70B"' in page
    snippets = html.unescape(re.sub(r"<[^>]*>", "", house.page(sort="price", max_price="2.5")))
    assert '"route": {"max_price": "2.5", "sort": "price"}' in snippets
    assert f'base_url="{house.running.url}/v1"' in snippets
    assert "Aider sends no filters" in snippets


def test_an_empty_wallet_is_said_where_answers_cost(house):
    assert "Your wallet is empty" in text(house.page())
    assert "Your wallet is empty" not in text(house.page(owned_by="openclaw"))


def test_names_are_text(house):
    house.claw.models = [HOSTILE]
    house.claw.changed()
    page = house.page(use=HOSTILE.id, providers="<script>alert(2)</script>", exclude='"><b>')
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert HOSTILE.id in names(house.ranking())
    assert HOSTILE.id not in house.ranking().partition('data-use="')[2], "it is in no snippet, and cannot be chosen"


def test_the_keys(house):
    now = time.time()
    with house.running.server.database.transaction() as connection:
        terms = Terms(name="laptop", models=frozenset({QWEN.id}), expires_at=round((now + 5000) * 1_000_000))
        laptop, secret = create_credential(connection, house.account, Kind.API_KEY, now=now, terms=terms)
        set_budgets(connection, laptop.id, {Period.DAY: 100_500})
        create_credential(connection, house.account, Kind.NODE_TOKEN, now=now, terms=Terms(name="box"))
        bot = create_credential(
            connection, house.account, Kind.AGENT_TOKEN, now=now + 1, terms=Terms(name="<i>bot</i>")
        )[0]
    whose = {"account_id": house.account.id, "credential_id": laptop.id, "model": "m", "node_id": "n"}
    answer = {"id": "x", **whose, **dict.fromkeys(("prompt_tokens", "completion_tokens", "ms"), 9)}
    with house.running.server.database.transaction() as connection:
        carry_out(connection, [Count(answer)], clock=lambda _: 20_000 * DAY_US)
    page = house.page()
    keys = page.partition('id="keys"')[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row"[^>]*>(.*?)</th>', keys) == ["laptop", "&lt;i&gt;bot&lt;/i&gt;"]
    assert f"laptop key … {laptop.hint}".replace("… ", "…") in text(keys)
    assert "inference 1 model only 0 of 100.5 sats today 2024-10-04" in text(keys)
    assert "inference your wallet never never" in text(keys)
    assert re.findall(r'data-last="(.*?)"', keys) == [
        "Its last answer was on 2024-10-04 (UTC).",
        "It never got an answer.",
    ]
    assert f'data-edit="/api/keys/{laptop.id}"' in keys
    assert 'data-day="100.5" data-month="" data-total=""' in keys
    assert f'data-revoke="/api/agent-tokens/{bot.id}"' in keys
    assert secret not in page
    assert secret[:-4] not in page
    assert (
        re.findall(r'name="name"[^>]*maxlength="(\d+)"', page) == [str(NAME_LENGTH)] * 2
    )  # else the form says it late
