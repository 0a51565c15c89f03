"""Two servers on one database: what a key may do, and how much of it, is one thing, whichever of them is asked."""

import asyncio
import time
from collections import Counter

import httpx
import pytest
from argon2 import PasswordHasher

from lightphon_core import Price
from lightphon_core.accounts import passwords
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.device_cookies import DEVICE_COOKIE
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import Terms
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import AccountSettings, Settings, StorageSettings
from lightphon_core.testing import LiveServer, ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, says
from lightphon_core.types import Scope

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}


class Pair:
    """Its servers are asked by their numbers, 0 and 1, and their `backends` serve the model "m"."""

    def __init__(self, servers, backends):
        self.servers, self.backends = servers, backends
        now = time.time()
        with servers[0].database.transaction() as connection:
            account = create_account(connection, "alice", now=now)
            terms = Terms(scopes=frozenset({Scope.INFERENCE, Scope.ACCOUNT, Scope.MANAGE}))
            self.owner = create_credential(connection, account, Kind.API_KEY, now=now, terms=terms)[1]
            carry_out(connection, [adjustment.credit(account.id, 10**9, "gift")])

    def request(self, number, method, path, body=None, key=None):
        headers = {"authorization": f"Bearer {key or self.owner}"}
        return httpx.request(method, self.servers[number].url + path, json=body, headers=headers, timeout=30)

    def made(self, **terms):
        """The path and the secret of a new key, made at the first."""
        made = self.request(0, "POST", "/api/keys", terms).json()
        return f"/api/keys/{made['id']}", made["secret"]

    def ask(self, number, key):
        """Status and code."""
        answer = self.request(number, "POST", "/v1/chat/completions", BODY, key)
        return answer.status_code, answer.json().get("error", {}).get("code")


@pytest.fixture
def pair(tmp_path, database_url):
    settings = Settings(
        data_dir=tmp_path / "data",
        storage=StorageSettings(url=database_url),
        accounts=AccountSettings(registration="open", logins_per_minute=3),
    )
    backends = [ScriptedBackend(says("Hi"), models=["m"], slots=40, price=Price(per_request=1_000)) for _ in range(2)]
    with (
        LiveServer(settings, sources=[plugin_of(backends[0])]) as first,
        LiveServer(settings, sources=[plugin_of(backends[1])]) as second,
    ):
        yield Pair([first, second], backends)


def test_terms_that_one_server_is_told_hold_at_the_other_at_once(pair):
    where, key = pair.made()
    assert [pair.ask(number, key) for number in (0, 1)] == [(200, None)] * 2
    for terms, status, code in (
        ({"models": ["another"]}, 503, "no_nodes_available"),
        ({"models": None}, 200, None),
        ({"budgets": {"day": 0}}, 402, "budget_exceeded"),
        ({"budgets": {}}, 200, None),
        ({"limits": {"requests_per_minute": 1}}, 200, None),
        ({"name": "the limit stays"}, 429, "rate_limit_exceeded"),
        ({"limits": {}}, 200, None),
    ):
        assert pair.request(0, "PATCH", where, terms).status_code == 200
        assert pair.ask(1, key) == (status, code), terms
    assert pair.request(0, "DELETE", where).status_code == 200
    assert pair.ask(1, key) == (401, "invalid_api_key")


def test_a_browser_that_one_knows_is_known_to_the_other(pair, monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    person = {"name": "bob", "password": "correct horse battery"}
    made = httpx.post(f"{pair.servers[0].url}/api/account/register", json=person)
    device = {"cookie": f"{DEVICE_COOKIE}={made.cookies[DEVICE_COOKIE]}"}

    def log_in(number, password, **headers):
        url = pair.servers[number].url
        body = {**person, "password": password}
        return httpx.post(f"{url}/api/account/login", json=body, headers={"origin": url, **headers}).status_code

    assert [log_in(number % 2, "wrong") for number in range(4)] == [401, 401, 401, 429]
    assert log_in(1, person["password"]) == 429
    assert log_in(1, person["password"], **device) == 200
    assert [log_in(number % 2, "wrong", **device) for number in range(4)] == [401, 401, 401, 429]


def test_requests_of_a_key_count_together(pair):
    _, key = pair.made(limits={"requests_per_minute": 3})
    assert [pair.ask(number % 2, key)[0] for number in range(5)] == [200, 200, 200, 429, 429]


def test_a_place_that_is_taken_at_one_is_taken_at_the_other(pair):
    async def endless(job):
        yield chunk({"content": "first"})
        await asyncio.Event().wait()

    _, key = pair.made(limits={"concurrent_requests": 1})
    pair.backends[0].reply = endless
    headers = {"authorization": f"Bearer {key}"}
    url = f"{pair.servers[0].url}/v1/chat/completions"
    with httpx.stream("POST", url, json={**BODY, "stream": True}, headers=headers, timeout=30) as answer:
        stream = answer.iter_text()  # to forget it would be to hang up
        assert "first" in next(stream)
        assert pair.ask(1, key) == (429, "rate_limit_exceeded")
    gateway = pair.servers[0].gateway
    assert pair.servers[0].call(gateway.tasks.finish(20))
    pair.servers[0].call(gateway.limiter.close())
    assert pair.ask(1, key) == (200, None)


def test_a_crowd_at_both_spends_a_budget_to_the_last_msat_and_no_more(pair):
    where, key = pair.made(budgets={"day": 5_000, "total": 5_999})

    async def everybody():
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            urls = [f"{server.url}/v1/chat/completions" for server in pair.servers]
            return await asyncio.gather(*(client.post(urls[number % 2], json=BODY) for number in range(24)))

    counted = Counter(answer.status_code for answer in asyncio.run(everybody()))
    assert counted[200] <= 5
    assert set(counted) <= {200, 402, 429}
    while (answer := pair.ask(1, key))[0] == 200:
        counted[200] += 1
    assert (answer, counted[200]) == ((402, "budget_exceeded"), 5)
    budgets = pair.request(1, "GET", where).json()["budgets"]
    assert [(budgets[period]["spent_msat"], budgets[period]["held_msat"]) for period in ("day", "total")] == [
        (5_000, 0)
    ] * 2
