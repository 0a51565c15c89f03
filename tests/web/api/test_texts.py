"""Text that no database takes, wherever a request has text, one place at a time: never a fault of ours.

The fuzzing stage sends such text everywhere at once, and so what is refused first hides the rest.
"""

import time

import httpx
import pytest
from argon2 import PasswordHasher

from lightphon_core.accounts import passwords
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import Terms
from lightphon_core.payments.payouts.freezes import freeze
from lightphon_core.settings import AccountSettings, StorageSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.testing.scripted import says
from lightphon_core.types import Scope

NUL = "a\0b"
PASSWORD = "correct\0horse"  # any text will do
HELLO = [{"role": "user", "content": NUL}]
PAYOUT = f"pay_{'0' * 32}"
REQUESTS = [
    ("POST", "account/register", {"name": NUL, "password": PASSWORD}),
    ("POST", "account/register", {"name": "somebody", "password": PASSWORD, "invite": NUL}),
    ("POST", "account/login", {"name": NUL, "password": PASSWORD}),
    ("POST", "account/login", {"name": "root", "password": PASSWORD}),
    ("POST", "account/password", {"current_password": PASSWORD, "new_password": PASSWORD}),
    *(
        (method, path, body)
        for method, path in (("POST", "keys"), ("PATCH", f"keys/cred_{'0' * 16}"), ("POST", "agent-tokens"))
        for body in (
            {"name": NUL},
            {"models": [NUL]},
            {"used_by": NUL},
            {"route": {"exclude": NUL, "providers": [NUL]}},
        )
    ),
    ("POST", "models/route", {"model": NUL, "session_id": NUL, "owned_by": NUL}),
    ("POST", "deposits", {"provider": NUL, "amount_sats": 5}),
    ("POST", "payouts", {"destination": NUL, "amount_sats": 5}),
    ("PUT", "payouts/automatic", {"destination": NUL, "threshold_sats": 10_000}),
    ("PUT", "nodes/a%00/price", {"model": NUL}),
    ("DELETE", "nodes/a%00/price?model=m", None),
    ("DELETE", "nodes/a/price?model=%00", None),
    ("POST", "admin/accounts", {"name": NUL}),
    ("POST", "admin/accounts", {"name": "another", "password": PASSWORD}),
    ("GET", "admin/accounts?search=%00", None),
    ("GET", "admin/accounts?after=%00", None),
    ("POST", f"admin/accounts/acc_{'0' * 16}/credit", {"amount_msat": 1, "reason": NUL}),
    ("PUT", "admin/prices", {"model": NUL}),
    ("DELETE", "admin/prices?model=%00", None),
    ("POST", f"admin/payouts/{PAYOUT}/reject", {"reason": NUL}),
    ("POST", "admin/payouts/freeze", {"reason": NUL}),
    ("POST", "admin/payouts/freeze", {"provider": NUL}),
    ("POST", "admin/payouts/reconcile", {"provider": NUL}),
    ("POST", "admin/payouts/reconcile", {"ours": [NUL]}),
    ("POST", "admin/payouts/reconcile", {"adopt": {NUL: "root"}}),
    ("POST", "admin/payouts/reconcile", {"adopt": {"ref": NUL}}),
    ("POST", "admin/payouts/reconcile", {"adopt": {"ref": f"pay_{NUL}"}}),
    ("POST", "../webhooks/%00", {}),
    ("POST", "../v1/chat/completions", {"model": NUL, "messages": HELLO}),
    ("POST", "../v1/chat/completions", {"model": "auto", "messages": HELLO, "session_id": NUL, "user": NUL}),
    ("GET", "../v1/models/%00", None),
]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def client(request, run_server, tmp_path_factory):
    """An administrator's, on a server with payments."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").create(request.getfixturevalue("_migrated_postgres"))
    source = plugin_of(ScriptedBackend(says("Hello")), ScriptedPayments(), ScriptedPayouts())
    accounts = AccountSettings(registration="open", logins_per_minute=1000)
    folder = tmp_path_factory.mktemp("texts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        with run_server(folder, source, accounts=accounts, storage=StorageSettings(url=url)) as running:
            with running.server.database.transaction() as connection:
                root = create_account(connection, "root", now=time.time(), admin=True)
                terms = Terms(scopes=frozenset(Scope) - {Scope.NODE})
                _, key = create_credential(connection, root, Kind.API_KEY, now=time.time(), terms=terms)
                freeze(connection, "scripted", "to be reconciled", 1)
            headers = {"authorization": f"Bearer {key}"}
            with httpx.Client(base_url=f"{running.url}/api/", headers=headers, timeout=30) as client:
                yield client
    if url is not None:
        request.getfixturevalue("postgres").drop(url)


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_it_is_refused_or_harmless(client, method, path, body):
    client.cookies.clear()
    answer = client.request(method, path, json=body)
    assert answer.status_code in (200, 201, 400, 401, 404), answer.text


def test_a_freeze_has_a_reason_that_can_be_shown(client):
    for reason in (" ", "\x1b[2J", "x" * 501):
        answer = client.post("admin/payouts/freeze", json={"reason": reason})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "reason")
