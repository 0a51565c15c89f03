"""Deposits over HTTP: /api/deposits, its stream of events, webhooks, the command line, and what a 402 says."""

import asyncio
import json
import threading
import time
from types import SimpleNamespace

import httpx
import pytest
from click.testing import CliRunner

from lightphon_core.accounts.credentials import list_credentials, revoke_credential
from lightphon_core.accounts.people import get_account
from lightphon_core.cli import build
from lightphon_core.cli import client as client_module
from lightphon_core.errors import SettingsError
from lightphon_core.money import Cents
from lightphon_core.payments.deposits.followers import FOLLOWED_AT_ONCE
from lightphon_core.settings import DepositSettings, PricingSettings, RateSettings, ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.scripted import says

CHAT = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}


@pytest.fixture
def provider():
    return ScriptedPayments()


@pytest.fixture
def running(start_server, provider):
    backend = ScriptedBackend(says("Hello"))
    return start_server(
        plugin_of(backend, provider),
        pricing=PricingSettings(per_request=2_000),
        deposits=DepositSettings(most=100_000_000),
    )


@pytest.fixture
def client(running):
    headers = {"authorization": f"Bearer {running.api_key}"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=20) as client:
        yield client


def events(client, deposit_id):
    """The deposits that a stream of events shows."""
    with client.stream("GET", f"/api/deposits/{deposit_id}/events") as stream:
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        for line in stream.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def test_from_nothing_to_an_answer(client, provider):
    short = client.post("/v1/chat/completions", json=CHAT)
    assert short.status_code == 402
    error = short.json()["error"]
    assert error["code"] == "insufficient_balance"
    server = str(client.base_url).rstrip("/")
    assert f'To deposit, POST {server}/api/deposits {{"amount_sats": 1000}} with the same key' in error["message"]

    made = client.post("/api/deposits", json={"amount_sats": 3})
    assert made.status_code == 201
    deposit = made.json()
    assert (deposit["status"], deposit["provider"], deposit["amount_msat"]) == ("open", "scripted", 3_000)
    assert deposit["invoice"].startswith("scripted:")
    assert (deposit["checkout_url"], deposit["received_msat"], deposit["settled_at"]) == (None, None, None)
    assert deposit["expires_at"] - deposit["created_at"] == 3_600

    stream = events(client, deposit["id"])
    assert next(stream)["status"] == "open"
    provider.pay(provider.refs[0])
    (settled,) = stream
    assert (settled["status"], settled["received_msat"]) == ("settled", 3_000)
    assert client.get(f"/api/deposits/{deposit['id']}").json() == settled
    wallet = client.get("/api/wallet").json()
    assert (wallet["available_msat"], wallet["by_origin_msat"]) == (3_000, {"lightning": 3_000})
    assert [(line["kind"], line["amount_msat"]) for line in wallet["statement"]] == [("deposit", 3_000)]
    assert client.post("/v1/chat/completions", json=CHAT).status_code == 200
    assert client.get("/api/wallet").json()["available_msat"] == 1_000
    (listed,) = client.get("/api/deposits").json()["data"]
    assert listed == settled


def test_who_has_gone_follows_nothing(client, running):
    """A page that is opened again and again leaves nothing behind: an account follows so many at once, and no more."""
    deposit = client.post("/api/deposits", json={"amount_sats": 3}).json()
    followers = running.server._app.state.deposits.followers
    for _ in range(FOLLOWED_AT_ONCE):
        with client.stream("GET", f"/api/deposits/{deposit['id']}/events") as stream:
            assert stream.status_code == 200
            next(stream.iter_lines())
    running.server.call(until(lambda: not followers.is_followed(deposit["id"])))
    assert next(events(client, deposit["id"]))["status"] == "open"


async def until(condition):
    """Wait for the server, on its own loop, to make it true."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


def test_a_key_that_is_revoked_follows_nothing_more(client, running):
    deposit = client.post("/api/deposits", json={"amount_sats": 3}).json()
    database, changes = running.server.database, running.server._app.state.account_changes
    with client.stream("GET", f"/api/deposits/{deposit['id']}/events", timeout=10) as stream:  # less than it is silent
        lines = stream.iter_lines()
        assert next(lines) == "event: deposit"
        with database.transaction() as connection:
            account = get_account(connection, "test")
            for each in list_credentials(connection, account_id=account.id):
                revoke_credential(connection, each.kind, each.id, now=time.time())
        running.server.call(publish(changes, account.id))
        *_, said, shown, _ = lines
    assert said == "event: error"
    assert json.loads(shown.removeprefix("data: "))["error"]["code"] == "invalid_api_key"


async def publish(changes, account):
    changes.publish(account)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "amount_sats"),
        ({"amount_sats": 0}, "amount_sats"),
        ({"amount_sats": -1}, "amount_sats"),
        ({"amount_sats": 1.5}, "amount_sats"),
        ({"amount_sats": "100"}, "amount_sats"),
        ({"amount_sats": True}, "amount_sats"),
        ({"amount_sats": None}, "amount_sats"),
        ({"amount_sats": 100_001}, "amount_sats"),
        ({"amount_sats": 10**30}, "amount_sats"),
        ({"amount_sats": 1, "provider": "card"}, "provider"),
        ({"amount_sats": 1, "account": "acc_x"}, "account"),
    ],
)
def test_what_is_no_deposit(client, provider, body, param):
    answer = client.post("/api/deposits", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["param"] in (param, None)
    assert provider.asked == []
    assert client.get("/api/wallet").json()["statement"] == []


def test_a_provider_that_does_not_answer_is_a_503(client, provider):
    provider.line.up = False
    answer = client.post("/api/deposits", json={"amount_sats": 5})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "payment_provider_unavailable")
    assert answer.headers["retry-after"] == "10"


def test_the_ways_to_pay(client):
    assert client.get("/api/deposits/providers").json() == {
        "data": [
            {
                "name": "scripted",
                "currency": None,
                "least_sats": 1,
                "most_sats": 100_000,
                "least_eur": None,
                "most_eur": None,
                "play_money": False,
                "test_pay_path": None,
            }
        ]
    }


class TestWebhooks:
    def test_a_signed_one_credits_without_a_key(self, client, provider, running):
        provider.hold_events()
        deposit = client.post("/api/deposits", json={"amount_sats": 5}).json()
        headers, body = provider.called_back(provider.refs[0])
        for _ in range(2):
            answer = httpx.post(running.url + "/webhooks/scripted", headers=headers, content=body)
            assert (answer.status_code, answer.json()) == (200, {"received": True})
        assert client.get(f"/api/deposits/{deposit['id']}").json()["status"] == "settled"
        assert client.get("/api/wallet").json()["available_msat"] == 5_000

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("/webhooks/nobody", b"{}", 404),
            ("/webhooks/scripted", b"garbage", 400),
            ("/webhooks/scripted", b"x" * 262_145, 413),
        ],
    )
    def test_what_is_none(self, running, path, body, status):
        answer = httpx.post(running.url + path, content=body)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]


class TestCommand:
    @pytest.fixture
    def run(self, running):
        env = {"LIGHTPHON_URL": running.url, "LIGHTPHON_API_KEY": running.api_key}
        return lambda *words, **more: CliRunner(env={**env, **more}).invoke(build(), ["deposit", *words])

    def test_waits_until_it_is_paid(self, run, provider, monkeypatch):
        asked = threading.Event()

        def pay():
            asked.wait(10)
            provider.pay(provider.refs[0])

        monkeypatch.setattr(client_module, "time", SimpleNamespace(sleep=lambda _: asked.set()))
        payer = threading.Thread(target=pay)
        payer.start()
        done = run("open", "7", "--wait")
        payer.join()
        assert done.exit_code == 0, done.output
        assert "scripted:" in done.output
        assert done.output.endswith("Paid: 7 sats are in the wallet.\n")
        listed = json.loads(run("list", "--json").stdout)["data"]
        assert [each["status"] for each in listed] == ["settled"]
        assert "settled" in run("list").output
        assert "settled" in run("show", listed[0]["id"]).output

    @pytest.mark.parametrize(
        ("words", "env", "said"),
        [
            (["open", "7"], {"LIGHTPHON_API_KEY": ""}, "set LIGHTPHON_API_KEY"),
            (["open", "7"], {"LIGHTPHON_API_KEY": "lp_wrong"}, "key"),
            (["open", "7"], {"LIGHTPHON_URL": "http://127.0.0.1:9"}, "Is the server running there?"),
            (["open", "7", "--provider", "card"], {}, "There is no provider 'card'"),
            (["open", "0"], {}, "0 is not in the range"),
            (["open", "1.5"], {}, "not a valid integer"),
            (["show", "dep_" + "0" * 24], {}, "There is no deposit with this id."),
            (["show", "../keys"], {}, "is no id of a deposit"),
        ],
    )
    def test_says_what_is_wrong(self, run, words, env, said):
        done = run(*words, **env)
        assert done.exit_code == 2
        assert said in done.output


def test_play_money_says_so_and_stands_alone(start_server, run_server, tmp_path):
    play = ScriptedPayments("play", play_money=True)
    running = start_server(plugin_of(play), rates=RateSettings(fixed=Cents(6_000_000), display=True))
    headers = {"authorization": f"Bearer {running.api_key}"}
    made = httpx.post(running.url + "/api/deposits", json={"amount_sats": 5}, headers=headers).json()
    assert made["play_money"] is True
    wallet = httpx.get(running.url + "/api/wallet", headers=headers).json()
    assert (wallet["play_money"], wallet["approx_eur"]) == (True, None)
    with (
        pytest.raises(SettingsError, match="'play' makes play money, and must not run beside real"),
        run_server(tmp_path / "other", plugin_of(play, ScriptedPayments("real"))),
    ):
        pass


def test_without_a_provider_a_402_names_the_operator(start_server):
    running = start_server(
        plugin_of(ScriptedBackend(says("x"))),
        pricing=PricingSettings(per_request=2_000),
        server=ServerSettings(public_url="https://example.org"),
    )
    headers = {"authorization": f"Bearer {running.api_key}"}
    answer = httpx.post(running.url + "/v1/chat/completions", json=CHAT, headers=headers)
    assert answer.status_code == 402
    assert answer.json()["error"]["message"].endswith("This server takes no deposits: ask its operator for credit.")
    assert httpx.get(running.url + "/api/deposits/providers", headers=headers).json() == {"data": []}
    answer = httpx.post(running.url + "/api/deposits", json={"amount_sats": 5}, headers=headers)
    assert answer.status_code == 400
