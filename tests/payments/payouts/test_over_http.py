"""Payouts of a running server: the API, and `lightphon payout`."""

import json
import time

import httpx
import pytest
from click.testing import CliRunner

from lightphon_core.accounts.credentials import create_credential, find_by_secret
from lightphon_core.accounts.people import create_account, get_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import Terms
from lightphon_core.cli import build, client
from lightphon_core.ledger import audit, chart
from lightphon_core.ledger.budgets import set_budgets
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.periods import Period
from lightphon_core.ledger.store import carry_out
from lightphon_core.money import MAX_MSAT, Amount
from lightphon_core.settings import PayoutSettings
from lightphon_core.testing import plugin_of
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.types import Scope


class Shop:
    """A running server; `ask` asks it with the key of `alice`, or of `root`, an administrator."""

    def __init__(self, running, provider):
        self.url, self.database, self.provider = running.url, running.server.database, provider
        now = time.time()
        self.keys = {}
        with self.database.transaction() as connection:
            for name, admin in (("alice", False), ("root", True)):
                account = create_account(connection, name, now=now, admin=admin)
                scopes = frozenset({Scope.ACCOUNT, Scope.MANAGE, *([Scope.ADMIN] if admin else [])})
                terms = Terms(scopes=scopes)
                self.keys[name] = create_credential(connection, account, Kind.API_KEY, now=now, terms=terms)[1]
        self.fund(200)

    def fund(self, sats, origin=Origin.LIGHTNING):
        with self.database.transaction() as connection:
            wallet = chart.wallet(get_account(connection, "alice").id, origin)
            posting = Posting("clearing:scripted", wallet, sats * 1_000)
            carry_out(connection, [Post("deposit", "test", f"{time.monotonic_ns()}", (posting,))])

    def ask(self, method, path, body=None, *, who="alice", **headers):
        headers = {"authorization": f"Bearer {self.keys[who]}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        content = body if isinstance(body, str) else None if body is None else json.dumps(body)
        return httpx.request(method, self.url + path, content=content, headers=headers, timeout=30)

    def run(self, *arguments, who="alice", status=0):
        """What a command line prints."""
        environ = {"LIGHTPHON_URL": self.url, "LIGHTPHON_API_KEY": self.keys[who]}
        result = CliRunner().invoke(build(), ["payout", *arguments], env=environ)
        assert result.exit_code == status, result.output
        return result.output if status == 2 else result.stdout

    def available(self):
        return self.ask("GET", "/api/wallet").json()["available_msat"]


@pytest.fixture
def shop(start_server, monkeypatch):
    monkeypatch.setattr(client, "POLL_S", 0.02)
    provider = ScriptedPayouts(fee=2_000)
    settings = PayoutSettings(approval_above=Amount(100_000), fee_bps=0)
    shop = Shop(start_server(plugin_of(ScriptedPayments(), provider), payouts=settings), provider)
    yield shop
    with shop.database.snapshot() as connection:
        assert audit.verify(connection) == []


def test_the_whole_way(shop):
    answer = shop.ask("POST", "/api/payouts", {"destination": " bob@example.org ", "amount_sats": 50})
    made = answer.json()
    assert answer.status_code == 201
    assert made == {
        "id": made["id"],
        "status": "held",
        "provider": "scripted",
        "destination": "bob@example.org",
        "automatic": False,
        "amount_sats": 50,
        "amount_msat": 50_000,
        "fee_cap_msat": 10_000,
        "fee_msat": None,
        "ref": None,
        "reason": None,
        "created_at": made["created_at"],
        "submitted_at": None,
        "ended_at": None,
    }
    printed = shop.run("send", shop.provider.invoice(30_500), "--wait", "--once", "rent")
    assert "30.5 sats is paid; the network took 2 sats." in printed
    (sent, _) = shop.ask("GET", "/api/payouts").json()["data"]
    assert (sent["status"], sent["amount_sats"], sent["amount_msat"], sent["fee_msat"]) == ("paid", None, 30_500, 2_000)
    assert "30.5 sats is paid" in shop.run("show", sent["id"])
    assert json.loads(shop.run("show", sent["id"], "--json")) == sent
    assert "30.5  2" in shop.run("list")
    page = shop.ask("GET", "/api/payouts?limit=1").json()
    assert page["next"] == sent["id"]
    assert shop.ask("GET", f"/api/payouts?limit=1&before={page['next']}").json()["data"][0]["id"] == made["id"]
    assert shop.ask("GET", f"/api/payouts/{made['id']}", who="root").status_code == 404


def test_a_key_with_a_budget_withdraws_nothing(shop):
    """It may spend so much and no more, in whatever way."""
    with shop.database.transaction() as connection:
        key = find_by_secret(connection, Kind.API_KEY, shop.keys["alice"])
        set_budgets(connection, key.id, {Period.DAY: 5_000})
    for method, path, amount in (("POST", "", "amount_sats"), ("PUT", "/automatic", "threshold_sats")):
        answer = shop.ask(method, f"/api/payouts{path}", {"destination": "bob@example.org", amount: 50})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
        assert "has a budget of its own, so it cannot withdraw money" in answer.json()["error"]["message"]
    assert (shop.available(), shop.ask("GET", "/api/payouts").json()["data"]) == (200_000, [])


def test_once(shop):
    body = {"destination": "bob@example.org", "amount_sats": 10}
    first, again = (shop.ask("POST", "/api/payouts", body, idempotency_key="rent").json() for _ in range(2))
    assert first["id"] == again["id"]
    other = shop.ask("POST", "/api/payouts", body | {"amount_sats": 11}, idempotency_key="rent")
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_key_reused")


def test_what_is_no_amount(shop):
    for amount in ("0", "-1", "0.5", "1e3", '"7"', "true", str(10**30), str(MAX_MSAT // 1_000 + 1)):
        answer = shop.ask("POST", "/api/payouts", f'{{"destination": "bob@example.org", "amount_sats": {amount}}}')
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "amount_sats"), amount
    assert shop.available() == 200_000


def test_what_the_wallet_does_not_cover(shop):
    shop.fund(1_000, Origin.GRANTED)
    answer = shop.ask("POST", "/api/payouts", {"destination": "bob@example.org", "amount_sats": 191})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (402, "insufficient_balance")
    assert error["message"].endswith("sats more were granted or paid by card, which can be spent and not withdrawn.")
    assert shop.available() == 1_200_000
    printed = shop.run("send", "bob@example.org", "191", status=2)
    assert "200 sats can be withdrawn" in printed


def test_automatic_payouts(shop):
    assert shop.ask("GET", "/api/payouts/automatic").status_code == 404
    wanted = {"destination": "bob@example.org", "threshold_sats": 5_000}
    made = shop.ask("PUT", "/api/payouts/automatic", wanted).json()
    assert made == {"provider": "scripted", **wanted, "tried_at": None, "trouble": None}
    assert shop.ask("GET", "/api/payouts/automatic").json() == made
    invoice = shop.provider.invoice(5_000_000)
    refused = shop.ask("PUT", "/api/payouts/automatic", {"destination": invoice, "threshold_sats": 5_000})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "destination")
    few = shop.ask("PUT", "/api/payouts/automatic", wanted | {"threshold_sats": 999})
    assert (few.status_code, few.json()["error"]["param"]) == (400, "threshold_sats")
    assert shop.ask("DELETE", "/api/payouts/automatic").json() == made
    assert shop.ask("DELETE", "/api/payouts/automatic").status_code == 404
    said = "bob@example.org, from 5000 sats on.\n"
    assert shop.run("automatic", "bob@example.org", "5000") == f"Paid by itself: {said}"
    assert json.loads(shop.run("automatic", "--json")) == made
    assert shop.run("automatic", "--off") == f"No longer paid by itself: {said}"
    assert "THRESHOLD" in shop.run("automatic", "bob@example.org", status=2)


def test_leaving_ends_automatic_payouts(shop):
    shop.ask("PUT", "/api/payouts/automatic", {"destination": "bob@example.org", "threshold_sats": 5_000})
    waiting = json.loads(shop.run("send", "bob@example.org", "150", "--json"))
    refused = shop.ask("DELETE", "/api/account", {})
    assert "being paid out" in refused.json()["error"]["message"]
    shop.run("approve", waiting["id"], who="root")
    shop.run("send", "bob@example.org", "28", "--wait")
    with shop.database.transaction() as connection:
        wallet = chart.wallet(get_account(connection, "alice").id, Origin.LIGHTNING)
        rest = shop.available()
        carry_out(connection, [Post("test", "test", "rest", (Posting(wallet, "adjustments", rest),))])
        account = get_account(connection, "alice").id
    assert shop.ask("DELETE", "/api/account", {}).status_code == 200
    dumped = shop.ask("GET", "/api/admin/payouts", who="root").json()["data"]
    assert {each["account_id"] for each in dumped} == {account}


def test_an_administrator(shop):
    one, two = (json.loads(shop.run("send", "bob@example.org", "70", "--json", "--once", str(n))) for n in (1, 2))
    assert one["status"] == "held"
    big = json.loads(shop.run("send", shop.provider.invoice(20_000), "--wait", "--json"))
    assert big["status"] == "paid"
    shop.fund(500)
    wait = [json.loads(shop.run("send", "bob@example.org", "101", "--json")) for _ in range(2)]
    assert wait[0]["status"] == "awaiting_approval"
    assert wait[0]["id"] in shop.run("all", "--status", "awaiting_approval", who="root")
    assert "scope" in shop.run("all", status=2) or "not for admin" in shop.run("all", status=2)
    assert "held" in shop.run("approve", wait[0]["id"], who="root")
    assert "cannot be approved" in shop.run("approve", two["id"], who="root", status=2)
    assert "failed: Who are you?" in shop.run("reject", wait[1]["id"], "--reason", "Who are you?", who="root")
    assert "cannot be declared failed" in shop.run("declare-failed", wait[1]["id"], who="root", status=2)
    assert "no id" in shop.run("approve", "../x", who="root", status=2)


def test_freezing_and_reconciling(shop):
    refs = [shop.provider.paid_by_others(amount) for amount in (5_000, 6_000)]
    assert "not frozen" in shop.run("reconcile", who="root", status=2)
    assert "are frozen" in shop.run("freeze", "--reason", "to look", who="root")
    assert "are frozen: to look" in shop.run("all", who="root")
    held = json.loads(shop.run("send", "bob@example.org", "20", "--json"))
    printed = shop.run("reconcile", who="root", status=1)
    assert all(ref in printed for ref in refs)
    assert "is not written as" in shop.run("reconcile", "--adopt", "nothing", who="root", status=2)
    assert "no account" in shop.run("reconcile", "--adopt", f"{refs[0]}=nobody", who="root", status=2)
    printed = shop.run("reconcile", "--adopt", f"{refs[0]}=alice", "--ours", refs[1], who="root")
    assert "5 sats, paid" in printed
    assert "Payouts go on." in printed
    assert "are frozen" not in shop.run("all", who="root")
    shop.run("send", "bob@example.org", "21", "--wait")
    assert shop.ask("GET", f"/api/payouts/{held['id']}").json()["status"] in ("paid", "submitted")
