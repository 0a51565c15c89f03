"""The pages for administrators: what they show, and what they keep to themselves."""

import re
import secrets
import time

import attrs
import pytest
from sqlalchemy import insert, update

from lightphon_core import Model, Price
from lightphon_core.accounts.people import create_account, set_blocked
from lightphon_core.ledger import adjustment, chart
from lightphon_core.ledger.audit import correct
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.money import Amount
from lightphon_core.payments.payouts.freezes import freeze, lift
from lightphon_core.payments.payouts.payout import Payout, PayoutState, payout_id, taken
from lightphon_core.payments.payouts.store import add_payout
from lightphon_core.payments.payouts.withdrawal import write_entry
from lightphon_core.plugins import Source
from lightphon_core.settings import AccountSettings, PriceSettings, PricingSettings, Secret
from lightphon_core.storage.schema import balances
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.testing.scripted import says
from lightphon_core.types import ConnectedNode, Node, NodeState
from lightphon_core.web.pages.administration import accounts as accounts_page
from lightphon_core.web.pages.frame.prices import price_in_words

CANARY = "c4n4ryc4n4ryc4n4ry"
HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>"
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;"
SECRET = Secret(CANARY)


@attrs.frozen
class Settings:
    """Of a plugin."""

    secret: Secret = SECRET
    url: str = f"https://me:{CANARY}@host/v1"
    text: str = HOSTILE


class Plugin:
    """One that has settings and nothing else."""

    settings = Settings

    def __init__(self, host):
        self.host = host


@pytest.fixture(scope="module")
def backend():
    return ScriptedBackend(says("x"), models=[Model("owner/m"), Model(HOSTILE)], slots=3)


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory, backend):
    sources = [
        plugin_of(backend, ScriptedPayments(), ScriptedPayouts()),
        Source("settled", "somebodys-plugin", "1.2", lambda: Plugin),
    ]
    with run_server(
        tmp_path_factory.mktemp("administration"),
        *sources,
        accounts=AccountSettings(registration="invite"),
        pricing=PricingSettings(house_bps=250, models={"m/file": PriceSettings(per_request=Amount(700))}),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def root(people):
    return people("root", admin=True)


@pytest.fixture(scope="module")
def alice(running):
    """An account with money, of which some was given by hand."""
    with running.server.database.transaction() as connection:
        account = create_account(connection, "alice", now=time.time())
        deposit = Posting("clearing:scripted", chart.wallet(account.id, chart.Origin.LIGHTNING), 2_000_000)
        carry_out(connection, [Post("deposit", "test", secrets.token_hex(8), (deposit,))])
        carry_out(connection, [adjustment.credit(account.id, 1_500, HOSTILE)])
    return account


def shown(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert "<script>alert" not in answer.text
    assert "<img src=x" not in answer.text
    return answer.text


class TestAccounts:
    def test_they_are_searched_and_paged(self, root, alice, running, monkeypatch):
        with running.server.database.transaction() as connection:
            blocked = create_account(connection, "blocked-one", now=1)
            set_blocked(connection, blocked, 1)
        page = shown(root, "/admin/accounts")
        assert f'href="/admin/accounts/{alice.id}">alice</a>' in page
        assert "administrator" in page
        found = shown(root, "/admin/accounts?search=BLOCKED")
        assert ("blocked-one" in found, "alice" in found, ">blocked</span>" in found) == (True, False, True)
        for nothing in ("nobody-here", HOSTILE, "\0", "x" * 100):
            assert "No account" in root.get("/admin/accounts", params={"search": nothing}).text
        monkeypatch.setattr(accounts_page, "ON_A_PAGE", 1)
        first = shown(root, "/admin/accounts?search=o")
        assert 'href="/admin/accounts?search=o&amp;after=blocked-one"' in first
        second = shown(root, "/admin/accounts?search=o&after=blocked-one")
        assert (">root</a>" in first, ">root</a>" in second) == (False, True)

    def test_a_file_has_wallet_keys_and_statement_and_no_secret(self, root, alice, running, monkeypatch):
        page = shown(root, f"/admin/accounts/{alice.id}")
        for text in ("2\u202f001.5", "over Lightning", "granted by hand", SHOWN, "Block …", "None."):
            assert text in page, text
        monkeypatch.setattr(accounts_page, "LINES", 1)
        latest = shown(root, f"/admin/accounts/{alice.id}")
        assert (SHOWN in latest, ">deposit<" in latest) == (True, False)
        older = latest.partition("?before=")[2].partition("#")[0]
        earlier = shown(root, f"/admin/accounts/{alice.id}?before={older}")
        assert (SHOWN in earlier, ">deposit<" in earlier) == (False, True)
        own = root.get("/admin/accounts?search=root").text.partition('href="/admin/accounts/acc_')[2].partition('"')[0]
        page = shown(root, f"/admin/accounts/acc_{own}")
        assert "The last administrator cannot be blocked." in page
        assert "Block …" not in page
        test = root.get("/admin/accounts?search=test").text.partition('href="/admin/accounts/acc_')[2].partition('"')[0]
        page = shown(root, f"/admin/accounts/acc_{test}")
        assert "agent token" in page
        answered = re.findall(r">(never|–)</td><td[^>]*>never</td></tr>", page)
        assert sorted(answered) == ["never", "never", "–"]  # the node token asks nothing
        for secret in (running.api_key, running.agent_token, running.node_token):
            assert secret not in page

    @pytest.mark.parametrize("name", ["acc_0123456789abcdef", "acc_%00", "nonsense", "acc_0123456789abcdef%00"])
    def test_one_that_is_not_there(self, root, name):
        answer = root.get(f"/admin/accounts/{name}")
        assert (answer.status_code, "There is no account with this id." in answer.text) == (404, True)

    def test_an_entry_that_is_not_there(self, root, alice):
        for entry in ("%00", f"ent_{'0' * 26}", "x"):
            assert root.get(f"/admin/accounts/{alice.id}?before={entry}").status_code == 404


def test_nodes_with_their_owners(root, alice, backend):
    backend.owner = alice.id
    idle = ConnectedNode(Node("n2", "attic", "acc_gone"), NodeState.PAUSED)
    backend.nodes = lambda: [ConnectedNode(backend.offers()[0].node), idle, ConnectedNode(Node("n3", "of the house"))]
    backend.changed()
    page = shown(root, "/admin/nodes")
    for text in (f'/admin/accounts/{alice.id}">alice', "acc_gone", "the house's", "paused", "none now", SHOWN):
        assert text in page, text
    assert "0 of 3 slots busy" in page


def test_prices_of_the_file_and_those_set_here(root, running):
    page = shown(root, "/admin/prices")
    for text in ("2.50", "m/file", price_in_words(Price(per_request=700)), "in the file alone"):
        assert text in page, text
    assert "DELETE /api/admin/prices" not in page
    assert root.put("/api/admin/prices", json={"model": HOSTILE, "per_minute": 5_000}).status_code == 200
    page = shown(root, "/admin/prices")
    assert price_in_words(Price(5_000)) in page
    assert page.count("DELETE /api/admin/prices?model=%22%3E%3Cscript") == 1
    assert root.delete("/api/admin/prices", params={"model": HOSTILE}).status_code == 200


class TestPayouts:
    def test_what_can_be_decided_and_what_has_ended(self, root, alice, running):
        made = {}
        with running.server.database.transaction() as connection:
            for state in (PayoutState.AWAITING_APPROVAL, PayoutState.UNKNOWN):
                sent = state is PayoutState.UNKNOWN
                made[state] = payout_id(alice.id)
                payout = Payout(
                    *(made[state], alice.id, "scripted", state, HOSTILE, False, 7_000, 0, None, 7_000, 0),
                    *(made[state] if sent else None, "an invoice", 2**60, None, 1, 1 if sent else None),
                )
                add_payout(connection, payout)
                write_entry(connection, taken(payout))
        page = shown(root, "/admin/payouts")
        assert f'href="/admin/accounts/{alice.id}">alice' in page
        waiting, unknown = made.values()
        for dialog, payout, there in (
            ("approve", waiting, True),
            ("reject", waiting, True),
            ("declare", waiting, False),
            ("approve", unknown, False),
            ("reject", unknown, False),
            ("declare", unknown, True),
        ):
            assert (f'id="{dialog}-{payout}"' in page) is there
        assert "7 sats for alice" in page
        rejected = {"reason": HOSTILE}
        assert root.post(f"/api/admin/payouts/{waiting}/reject", json=rejected).status_code == 200
        assert waiting not in shown(root, "/admin/payouts")
        everything = shown(root, "/admin/payouts?show=all")
        assert SHOWN in everything
        assert f"approve-{waiting}" not in everything
        assert root.get(f"/admin/payouts?show=all&before={waiting}").status_code == 200
        for nothing in ("%00", f"pay_{'0' * 32}"):
            assert root.get(f"/admin/payouts?show=all&before={nothing}").status_code == 404

    def test_a_freeze_is_shown_with_the_way_out(self, root, running):
        with running.server.database.transaction() as connection:
            freeze(connection, "scripted", HOSTILE, 1)
        page = shown(root, "/admin/payouts")
        assert 'data-open="reconcile-dialog" data-provider="scripted"' in page
        assert "Payouts through scripted are frozen" in shown(root, "/admin")
        with running.server.database.transaction() as connection:
            lift(connection, "scripted")
        assert 'data-provider="scripted"' not in shown(root, "/admin/payouts")


def test_the_ledger_says_whether_it_is_right(root, alice, running):
    page = shown(root, "/admin/ledger")
    assert "The books are right." in page
    assert "clearing:scripted" in page
    with running.server.database.transaction() as connection:
        row = {"account": HOSTILE, "amount": 5, "held": 0, "may_be_negative": True}
        connection.execute(insert(balances).values(row))
        connection.execute(update(balances).where(balances.c.account == "clearing:scripted").values(amount=-3))
    page = shown(root, "/admin/ledger")
    assert "The books are not right." in page
    assert "clearing:scripted: the balance is -3 msat" in page
    assert "≠" in page
    assert "The books are not right." in shown(root, "/admin")  # by the latest proof
    with running.server.database.transaction() as connection:
        correct(connection)
    assert "The books are right." in shown(root, "/admin/ledger")


def test_plugins_and_settings_without_secrets(root):
    page = shown(root, "/admin/plugins")
    for text in ("somebodys-plugin 1.2", "plugins.settled.secret", "https://...@host/v1", SHOWN, "availability, 2"):
        assert text in page, text
    assert CANARY not in page
    page = shown(root, "/admin/settings")
    for text in ("LIGHTPHON_ACCOUNTS_REGISTRATION", "lightphon.toml", "Whoever has an invitation", "250"):
        assert text in page, text
