"""A key that OpenClaw uses, and the header that says the same: over HTTP, with a backend that says it is OpenClaw."""

import time

import httpx
import pytest
from attrs import evolve

from lightphon_core import Model, Price, Unavailable
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import get_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import Terms
from lightphon_core.settings import RoutingSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.agent import HEADERS, agent_request
from lightphon_core.testing.scripted import says

ROUND = {"x-lightphon-client": "OpenClaw"}


class Site:
    """A GPU node and OpenClaw, which both have "shared"; and a key that OpenClaw uses."""

    def __init__(self, start_server, price=None, **settings):
        self.gpu = ScriptedBackend(says("gpu"), name="gpu", models=["llama", "shared"], price=price)
        self.claw = ScriptedBackend(
            says("claw"), name="claw", models=["openclaw/default", "shared"], gateway="openclaw", price=price
        )
        self.running = start_server(plugin_of(self.gpu, self.claw), **settings)
        self.plain = self.running.api_key
        self.marked = self.make(Kind.API_KEY)

    def make(self, kind, **terms):
        terms = Terms(used_by="openclaw", **terms)
        with self.running.server.database.transaction() as connection:
            account = get_account(connection, "test")
            return create_credential(connection, account, kind, now=time.time(), terms=terms)[1]

    def get(self, path="/v1/models", *, key, **headers):
        headers = {"authorization": f"Bearer {key}", **headers}
        return httpx.get(self.running.url + path, headers=headers, timeout=30)

    def post(self, body, *, key, path="/v1/chat/completions", **headers):
        headers = {"authorization": f"Bearer {key}", **headers}
        return httpx.post(self.running.url + path, json=body, headers=headers, timeout=30)

    def ask(self, model, *, key, **headers):
        """Status, and who answered or the error's code."""
        answer = self.post({"model": model, "messages": [{"role": "user", "content": "x"}]}, key=key, **headers)
        said = answer.json()
        code = said["routing_info"]["backend"] if answer.status_code == 200 else said["error"]["code"]
        return answer.status_code, code

    def listed(self, *, key, **headers):
        return {each["id"]: each for each in self.get(key=key, **headers).json()["data"]}


@pytest.fixture
def site(start_server):
    return Site(start_server)


def test_a_marked_key_and_the_header_come_to_the_same(site):
    site.gpu.slots, site.claw.slots = 1, 8  # nearly everything speaks for OpenClaw
    site.gpu._busy = {"gpu/llama": 1, "gpu/shared": 0}
    site.gpu.changed()
    for who in ({"key": site.marked}, {"key": site.plain, **ROUND}, {"key": site.marked, "x-lightphon-client": "x"}):
        for _ in range(3):
            assert site.ask("shared", **who) == (200, "gpu")
            assert site.ask("auto", **who) == (200, "gpu")
        assert site.ask("openclaw/default", **who) == (404, "model_not_available")
        assert set(site.listed(**who)) == {"auto", "llama", "shared"}
        assert site.listed(**who)["shared"]["nodes_online"] == 1
        assert site.get("/v1/models/openclaw/default", **who).status_code == 404
        assert site.get("/v1/models/shared", **who).json()["nodes_online"] == 1
        route = site.post({}, path="/api/models/route", **who).json()
        assert {each["node"] for each in route["candidates"]} == {"gpu-node"}
        assert route["excluded"] == {"loop": 2}
    assert site.claw.jobs == []
    assert site.ask("openclaw/default", key=site.plain) == (200, "claw")
    assert set(site.listed(key=site.plain)) == {"auto", "llama", "openclaw/default", "shared"}
    assert site.listed(key=site.plain)["shared"]["nodes_online"] == 2
    assert site.post({}, path="/api/models/route", key=site.plain).json()["excluded"] == {}


def test_a_token_in_the_path_is_marked_too(site):
    token = site.make(Kind.AGENT_TOKEN)
    path = f"/api/agent/{token}/v1/chat/completions"
    body = {"model": "openclaw/default", "messages": [{"role": "user", "content": "x"}]}
    assert site.post(body, key=site.plain, path=path).status_code == 404
    assert site.post({**body, "models": ["llama"]}, key=site.plain, path=path).json()["model"] == "llama"


def test_a_header_that_is_no_word_is_refused_wherever_it_counts(site):
    wrong = {"x-lightphon-client": "openclaw/2026.9.6"}
    for answer in (
        site.get(key=site.plain, **wrong),
        site.get("/v1/models/llama", key=site.plain, **wrong),
        site.post({}, path="/api/models/route", key=site.plain, **wrong),
        site.post({"model": "auto", "messages": [{"role": "user", "content": "x"}]}, key=site.plain, **wrong),
    ):
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-lightphon-client")
        assert "2026" not in answer.text
    twice = [
        ("authorization", f"Bearer {site.plain}"),
        ("x-lightphon-client", "other"),
        ("x-lightphon-client", "openclaw"),
    ]
    answer = httpx.get(f"{site.running.url}/v1/models", headers=twice)
    assert "openclaw/default" not in answer.text


def test_a_node_that_fails_is_not_made_up_for_by_going_round(site):
    async def fails(job):
        raise Unavailable("gone")
        yield b""

    site.gpu.reply = fails
    assert site.ask("shared", key=site.marked) == (503, "no_nodes_available")
    assert site.claw.jobs == []
    assert site.ask("shared", key=site.plain) == (200, "claw")


def test_nobody_else_is_a_503_whatever_the_wallet_has(start_server):
    """A 402 would make OpenClaw leave its provider alone for ten minutes, and the wallet is not what is missing."""
    site = Site(start_server, price=Price(per_request=1_000))
    assert site.ask("auto", key=site.marked) == (402, "insufficient_balance")
    site.gpu.online = False
    site.gpu.changed()
    answer = site.post({"model": "auto", "messages": [{"role": "user", "content": "x"}]}, key=site.marked)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_nodes_available")
    assert int(answer.headers["retry-after"]) >= 1
    assert "go round in a circle" in answer.json()["error"]["message"]
    assert site.ask("llama", key=site.marked) == (503, "no_nodes_available")
    assert set(site.listed(key=site.marked)) == {"auto"}
    site.claw.online = False
    site.claw.changed()
    for key in (site.marked, site.plain):
        for model in ("auto", "llama", "openclaw/default"):
            assert site.ask(model, key=key) == (503, "no_nodes_available"), model


def test_what_auto_leaves_out_has_to_be_named(start_server):
    site = Site(start_server, routing=RoutingSettings(not_in_auto=("CLAW",)))
    site.claw.models = [evolve(each, context_length=10**6) for each in site.claw.models]
    site.claw.models.append(Model("openclaw/other"))
    site.claw.changed()
    for _ in range(3):
        assert site.ask("auto", key=site.plain) == (200, "gpu")
    assert site.ask("openclaw/default", key=site.plain) == (200, "claw")
    listed = site.listed(key=site.plain)
    assert listed["openclaw/default"]["context_length"] == 10**6
    assert listed["auto"]["context_length"] == 4096, "the context that auto offers"
    assert site.get("/v1/models/auto", key=site.plain).json() == listed["auto"]
    assert site.post({}, path="/api/models/route", key=site.plain).json()["excluded"] == {"not_in_auto": 3}
    assert site.post({}, path="/api/models/route", key=site.marked).json()["excluded"] == {"loop": 3}


@pytest.mark.parametrize(("tools", "size"), [(12, 33_000), (55, 133_000)])
def test_a_request_as_openclaw_sends_it(site, tools, size):
    site.gpu.models = [evolve(each, context_length=65_536) for each in site.gpu.models]
    site.gpu.changed()
    answer = site.post(agent_request(tools=tools, size=size), key=site.marked, **HEADERS, **ROUND)
    assert answer.status_code == 200, answer.text
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "gpu" in answer.text
    (job,) = site.gpu.jobs
    assert b'"content":null' in job.body.replace(b": ", b":")
    assert b"x-stainless" not in job.body
