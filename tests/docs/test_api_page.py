"""docs/api.md: its examples run, as they are but for the curl itself, and its tables name every route of /api."""

import json
import re
import time
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from litestar.routes import HTTPRoute

from lightphon_core.accounts import passwords
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.membership import set_password
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import open_session
from lightphon_core.accounts.terms import Terms
from lightphon_core.ledger import chart
from lightphon_core.ledger.commands import Count, Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.money import Amount, Cents
from lightphon_core.payments.payouts.payout import Payout, PayoutState, taken
from lightphon_core.payments.payouts.store import add_payout
from lightphon_core.payments.payouts.withdrawal import write_entry
from lightphon_core.settings import AccountSettings, PayoutSettings, RateSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.testing.scripted import says
from lightphon_core.types import Origin, Scope
from lightphon_core.web.pages.wallet import explanations

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
EXAMPLES = [
    line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) for line in block.splitlines()
]
ANSWERS = re.findall(r"^`(\w+) (/api/[^`]*)` answers[^\n]*:\n\n```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
OPEN_ENDED = {"by_origin_msat", "pending_earnings_msat", "facts"}
"""Whose names are what there happens to be."""
ROUTES = set(re.findall(r"^\| `([A-Z]+) (/api/[^`]*)` \|", PAGE, re.MULTILINE))
PAYOUTS = ("PAYOUT_ID", "OTHER_PAYOUT_ID", "LOST_PAYOUT_ID")
IN_JANUARY_US = 1_768_000_000_000_000
PASSWORD = "correct horse battery"
OWN = frozenset({Scope.INFERENCE, Scope.ACCOUNT, Scope.MANAGE})


@pytest.fixture
def values(start_server, monkeypatch):
    """What the page's variables stand for."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", cheap)
    backend = ScriptedBackend(says("x"))
    payments = ScriptedPayments("lightning")
    card = ScriptedPayments("card", currency="EUR", origin=Origin.CARD)
    running = start_server(
        plugin_of(backend, payments, card, ScriptedPayouts()),
        rates=RateSettings(fixed=Cents(6_000_000)),
        accounts=AccountSettings(registration="open"),
        payouts=PayoutSettings(approval_above=Amount(50_000)),
    )
    now = time.time()
    with running.server.database.transaction() as connection:

        def key(account, *more):
            return create_credential(connection, account, Kind.API_KEY, now=now, terms=Terms(scopes=OWN | set(more)))

        alice, spare = (create_account(connection, name, now=now) for name in ("alice", "spare"))
        root = create_account(connection, "root", now=now, admin=True)
        set_password(connection, alice.id, cheap.hash(PASSWORD))
        backend.owner = alice.id
        made = key(alice)
        posting = Posting("clearing:scripted", chart.wallet(alice.id, chart.Origin.LIGHTNING), 1_000_000)
        carry_out(connection, [Post("deposit", "test", "for payouts", (posting,))])
        answered = dict.fromkeys(("prompt_tokens", "completion_tokens", "ms"), 9)
        about = {"id": "x", "account_id": alice.id, "credential_id": made[0].id, "model": "m", "node_id": "n"}
        carry_out(connection, [Count({**about, **answered})], clock=lambda _: IN_JANUARY_US)
        lost = Payout(
            *(
                f"pay_{'0' * 32}",
                alice.id,
                "scripted",
                PayoutState.UNKNOWN,
                "an invoice",
                False,
                9_000,
                0,
                None,
                9_000,
                0,
            ),
            *("ab" * 32, "an invoice", 1, None, 1, 1),
        )
        add_payout(connection, lost)
        write_entry(connection, taken(lost))
    payouts = running.server._app.state.payouts
    waiting = [running.server.call(payouts.ask(alice.id, "alice@example.org", 60_000)) for _ in range(2)]
    deposit = running.server.call(running.server._app.state.deposits.open(alice.id, "lightning", 5_000))
    payments.pay(deposit.ref)  # or the stream of its events would not end
    with running.server.database.transaction() as connection:
        return {
            "DEPOSIT_ID": deposit.id,
            "PAYOUT_ID": waiting[0].id,
            "OTHER_PAYOUT_ID": waiting[1].id,
            "LOST_PAYOUT_ID": lost.id,
            "URL": running.url,
            "KEY": made[1],
            "SESSION": open_session(connection, root.id, now=now, lifetime_s=600, recent_s=600),
            "KEY_ID": key(alice)[0].id,
            "SPARE_KEY": key(spare)[1],
            "ADMIN_KEY": key(root, Scope.ADMIN)[1],
            "ACCOUNT_ID": made[0].account_id,
            "NODE_ID": "scripted-node",
        }


def test_the_examples_work(values, request_of):
    assert len(EXAMPLES) > 20
    done = {}
    for line in EXAMPLES:
        method, url, headers, body = request_of(line, values)
        answer = httpx.request(method, url, headers=headers, content=body, timeout=30)
        assert answer.status_code in (200, 201), (line, answer.text)
        path = httpx.URL(url).path
        for name in ("KEY_ID", "ACCOUNT_ID", "NODE_ID", "DEPOSIT_ID", *PAYOUTS):
            path = path.replace(values[name], "{id}")
        done[method, path] = answer
    assert done.keys() >= ROUTES
    assert ROUTES
    assert len(ANSWERS) > 6
    for method, path, shown in ANSWERS:
        assert shape(json.loads(shown)) == shape(done[method, path].json()), path


def shape(value, name=""):
    """What there is, without what it is worth: its fields in their order, of a list the first element."""
    if isinstance(value, dict) and name not in OPEN_ENDED:
        return [(field, shape(each, field)) for field, each in value.items()]
    return [shape(each) for each in value[:1]] if isinstance(value, list) else None


def test_every_kind_of_entry_is_in_its_table():
    rows = PAGE.partition("| `kind` |")[2].partition("\n\n")[0].splitlines()[2:]
    assert {kind for row in rows for kind in re.findall("`([a-z_]+)`", row)} == explanations._SAYINGS.keys()


def test_the_tables_have_every_route(start_server):
    app = start_server(plugin_of(ScriptedBackend(says("x")))).server._app
    routes = {
        (method, re.sub(r"\{\w+:str\}", "{id}", route.path))
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/")
        for method in route.methods - {"OPTIONS"}
        if not route.path.startswith(("/api/agent/", "/api/agent-tokens", "/api/node-tokens"))
    }
    assert routes == ROUTES
