"""POST /api/models/route, and the filters that a key has by default."""

from contextlib import suppress

import httpx
import pytest
from attrs import evolve
from openai import APIStatusError, OpenAI

from lightphon_core import Model, Price
from lightphon_core.routing.router import Ranking, Router
from lightphon_core.types import Capability, Filters, Focus, Needs
from lightphon_core.web import inference

URL = "/api/models/route"
CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def asked(monkeypatch):
    """What the router was asked, each time."""
    asked = []
    for name in ("rank", "consider"):
        original = getattr(Router, name)

        def wrapped(self, needs, *, allowed=None, original=original):
            asked.append((needs, allowed))
            return original(self, needs, allowed=allowed)

        monkeypatch.setattr(Router, name, wrapped)
    return asked


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def test_candidates(people):
    alice = people("alice")
    model = Model("Qwen/Qwen2.5-Coder-7B-Instruct-q4_0", context_length=4096)
    people.backend.models, people.backend.price = [model, Model("other", frozenset())], Price(per_request=7)
    people.backend.changed()
    answer = alice.post(URL, json={"prompt_tokens": 10, "max_tokens": 5})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    (candidate,) = answer.json()["candidates"]
    assert 0 <= candidate.pop("score") <= 1
    assert all(0 <= part <= 1 for part in candidate.pop("parts").values())
    assert candidate.pop("expected_cost_msat") >= 0
    candidate.pop("tokens_per_s")
    candidate.pop("ttft_ms")
    assert candidate == {
        "model": model.id,
        "node": "scripted-node",
        "node_name": candidate["node_name"],
        "owned_by": "qwen",
        "maker": "qwen",
        "price": {"per_minute": 0, "per_mtok_prompt": 0, "per_mtok_completion": 0, "per_request": 7},
        "context_length": 4096,
        "capabilities": ["chat", "code"],
        "params_b": 7.0,
        "quantization": "Q4_0",
        "slots": people.backend.offers()[0].slots,
        "busy": 0,
    }


def test_what_the_router_is_asked(people, asked):
    alice = people("alice")
    guide = {
        "providers": ["meta", "mistral", "deepseek"],
        "min_params_b": 7,
        "max_params_b": 72,
        "capabilities": ["code", "reasoning"],
        "prefer_size": "balanced",
        "limit": 5,
    }
    body = {**guide, "model": "auto:code", "prompt_tokens": 800, "max_tokens": 200}
    assert alice.post(URL, json=body).status_code == 200
    needs, allowed = asked[-1]
    assert allowed is None
    assert (needs.model, needs.focus, needs.prompt_tokens, needs.max_output_tokens) == (None, Focus.CODE, 800, 200)
    assert needs.capabilities == {Capability.CHAT}
    assert needs.filters == Filters(
        providers=frozenset({"meta", "mistral", "deepseek"}),
        min_params_b=7.0,
        max_params_b=72.0,
        capabilities=frozenset({Capability.CODE, Capability.REASONING}),
        prefer_size="balanced",
        limit=5,
    )
    alice.post(URL, json={"capabilities": "embedding", "model": "bge-m3"})
    assert (asked[-1][0].model, asked[-1][0].capabilities) == ("bge-m3", frozenset())


def test_no_more_than_asked_for_and_none_is_an_answer(people, monkeypatch):
    alice = people("alice")
    people.backend.models = [Model(f"m{number}") for number in range(12)]
    people.backend.changed()
    assert len(alice.post(URL, json={}).json()["candidates"]) == 10
    assert len(alice.post(URL, json={"limit": 11}).json()["candidates"]) == 11
    assert alice.post(URL, json={"model": "nothing"}).json()["candidates"] == []
    monkeypatch.setattr(Router, "consider", lambda *_, **__: Ranking([], {"model": 3}))
    assert alice.post(URL, json={}).json() == {"candidates": [], "excluded": {"model": 3}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"min_param_b": 7}, "min_param_b"),
        ({"route": {}}, "route"),
        ({"prefer_size": "huge"}, "prefer_size"),
        ({"model": "auto:best"}, "model"),
        ({"prompt_tokens": -1}, "prompt_tokens"),
        ({"max_price": "free"}, "max_price"),
    ],
)
def test_what_is_wrong_is_named(people, body, param):
    answer = people("alice").post(URL, json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_key_asks_about_its_own_models_by_its_own_filters(people, asked):
    alice, url = people("alice"), people.running.url
    people.backend.models = [Model("mine"), Model("other")]
    people.backend.changed()
    route = {"max_price": "0.5", "sort": "latency", "providers": ["Qwen"]}
    made = alice.post("/api/keys", json={"models": ["mine"], "route": route}).json()
    assert made["route"] == {**route, "providers": ["qwen"]}
    own = Filters(max_price_msat=500, sort="latency", providers=frozenset({"qwen"}))
    answer = httpx.post(url + URL, json={"sort": "price"}, headers=bearer(made["secret"]))
    assert {each["model"] for each in answer.json()["candidates"]} <= {"mine"}
    assert asked[-1] == (
        Needs(
            path="/v1/chat/completions",
            model=None,
            capabilities=frozenset({Capability.CHAT}),
            filters=Filters(max_price_msat=500, sort="price", providers=own.providers),
        ),
        {"mine"},
    )

    httpx.post(f"{url}/v1/chat/completions", json=CHAT, headers=bearer(made["secret"]))
    assert asked[-1][0].filters == own
    with OpenAI(base_url=f"{url}/v1", api_key=made["secret"], max_retries=0) as client:
        more = {"route": {"max_price": 2, "providers": "openai"}, "models": ["mine"]}
        with suppress(APIStatusError):  # nobody has such a model
            client.chat.completions.create(**CHAT, extra_body=more)
    needs = asked[-1][0]
    assert needs.filters == evolve(own, max_price_msat=2000, providers=frozenset({"openai"}))
    assert (needs.model, needs.fallbacks) == (None, ("mine",))

    where = f"/api/keys/{made['id']}"
    assert alice.patch(where, json={"name": "x"}).json()["route"] == made["route"]
    assert alice.patch(where, json={"route": {"limit": 3}}).json()["route"] == {"limit": 3}
    assert alice.patch(where, json={"route": None}).json()["route"] is None
    httpx.post(f"{url}/v1/chat/completions", json=CHAT, headers=bearer(made["secret"]))
    assert asked[-1][0].filters == Filters()


def test_what_a_key_cannot_have_by_default(people):
    alice = people("alice")
    for route, param in (({"sort": "x"}, "route.sort"), ({"limt": 1}, "route.limt"), ([], "route")):
        answer = alice.post("/api/keys", json={"route": route})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert "Did you mean 'limit'?" in alice.post("/api/keys", json={"route": {"limt": 1}}).json()["error"]["message"]
    answer = alice.post("/api/node-tokens", json={"route": {"limit": 1}})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "route")


def test_kinds_of_auto_are_models(people):
    key = people("alice").post("/api/keys", json={}).json()["secret"]
    url = f"{people.running.url}/v1/models"
    assert httpx.get(f"{url}/auto:fast", headers=bearer(key)).json()["id"] == "auto:fast"
    assert httpx.get(f"{url}/auto:best", headers=bearer(key)).status_code == 404
    listed = [each["id"] for each in httpx.get(url, headers=bearer(key)).json()["data"]]
    assert [name for name in listed if name.startswith("auto")] == ["auto"]


def test_the_header_names_the_session(people, asked, monkeypatch):
    seen = []
    original = inference.begin
    monkeypatch.setattr(
        inference, "begin", lambda *given, **named: seen.append(given[1].session) or original(*given, **named)
    )
    key = people("alice").post("/api/keys", json={}).json()["secret"]
    url = f"{people.running.url}/v1/chat/completions"
    for headers, more in (({"x-session-id": "s"}, {}), ({}, {"session_id": "s"}), ({}, {})):
        assert httpx.post(url, json={**CHAT, **more}, headers={**bearer(key), **headers}).status_code == 200
    assert seen[0] == seen[1] != seen[2]
    assert asked
