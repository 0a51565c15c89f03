"""Requests made from /schema itself, valid ones and broken ones, by schemathesis: none is answered by a fault of ours,
and every answer is one that /schema says, with its status, type and body. `.ci/fuzz` brings schemathesis.

The requests are the same in every run, but for the ids and names of what the server has: some of them name that, since
nothing is behind those that are made up.
"""

import time
from collections import Counter
from urllib.parse import quote

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from lightphon_core.accounts import passwords
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.ledger import adjustment, chart, model_prices
from lightphon_core.ledger.commands import Post, Posting
from lightphon_core.ledger.store import carry_out
from lightphon_core.payments.payouts.automatic import Automatic, set_automatic
from lightphon_core.payments.payouts.freezes import freeze
from lightphon_core.payments.payouts.payout import Payout, PayoutState, payout_id, taken
from lightphon_core.payments.payouts.store import add_payout
from lightphon_core.payments.payouts.withdrawal import write_entry
from lightphon_core.settings import AccountSettings, StorageSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.testing.scripted import says
from lightphon_core.types import Capability, Model, Price

pytestmark = pytest.mark.fuzz

INFERENCE = (
    "/models",
    "/models/{model_id}",
    "/chat/completions",
    "/completions",
    "/fim/completions",
    "/embeddings",
    "/api/wallet",
    "/api/status",
    "/api/models/route",
)
# Whose requests, on which database, how many for each operation, and which of them some request must get through to:
# fuzzing that gets nowhere would prove nothing.
RUNS = {
    "admin-sqlite": ("admin", 24, ("/api/",)),
    "admin-postgresql": ("admin", 12, ("/api/admin/accounts", "/api/keys")),
    "key-sqlite": ("inference key", 8, INFERENCE),
    "nobody-sqlite": ("nobody", 3, ("/healthz", "/readyz", "/api/status")),
}
NEVER = {"DELETE /api/account", "POST /api/account/password", "POST /api/account/login"}
"""What must not work, or else the administrator could not go on."""
NOTHING_WRONG = {f"GET /api/agent/{{token}}{v1}/models{one}" for v1 in ("", "/v1") for one in ("", "/{model_id}")}
"""All that these have are texts in the path, for which any will do."""
KINDS = {"/api/keys": Kind.API_KEY, "/api/agent-tokens": Kind.AGENT_TOKEN, "/api/node-tokens": Kind.NODE_TOKEN}
NASTY = ["\0", "'", "%00", "\u202e", "../..", "9" * 400, "\N{PILE OF POO}"]


@pytest.fixture
def site(request, run_server, tmp_path, monkeypatch):
    """A server with some people on it."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    url = None
    if request.param.endswith("postgresql"):
        url = request.getfixturevalue("postgres").create(request.getfixturevalue("_migrated_postgres"))
    accounts = AccountSettings(registration="open", logins_per_minute=10**6, logins_per_minute_per_address=10**6)
    backend = ScriptedBackend(says("Hello"), models=[Model("able", frozenset(Capability), context_length=4096)])
    payments = ScriptedPayments()
    source = plugin_of(backend, payments, ScriptedPayouts())
    with run_server(tmp_path / "data", source, accounts=accounts, storage=StorageSettings(url=url)) as running:
        yield Site(running, backend, payments)
    if url is not None:
        request.getfixturevalue("postgres").drop(url)


class Site:
    """The server, and what there is on it that a request may name."""

    def __init__(self, running, backend, payments):
        self.url, self.database = running.url, running.server.database
        with self.database.transaction() as connection:
            now = time.time()
            self.admin = create_account(connection, "root", now=now, admin=True)
            victim = create_account(connection, "victim", now=now)
            for account in (self.admin, victim):  # so that neither can be deleted
                carry_out(connection, [adjustment.credit(account.id, 10_000_000, "to begin with")])
            posting = Posting("clearing:scripted", chart.wallet(self.admin.id, chart.Origin.LIGHTNING), 100_000_000)
            carry_out(connection, [Post("deposit", "fuzz", "to withdraw", (posting,))])
            made = {kind: create_credential(connection, self.admin, kind, now=now) for kind in Kind}
        self.key = made[Kind.API_KEY][1]
        backend.owner = self.admin.id
        running.server._app.state.gateway.catalogue.invalidate()
        deposits = running.server._app.state.deposits
        deposit = running.server.call(deposits.open(self.admin.id, None, 5_000))
        payments.pay(deposit.ref)  # or its stream of events would not end
        (offer,) = backend.offers()
        self.model = offer.model.id
        self.ids = {
            "/api/admin/payouts/": "filled in by `prepare`",
            "/api/admin": victim.id,
            "/api/agent/": made[Kind.AGENT_TOKEN][1],
            "/api/nodes/": offer.node.id,
            "/api/deposits/": deposit.id,
            "/webhooks/": payments.name,
        }

    def prepare(self, operation):
        """One operation revokes what the next one wants to change."""
        if "{credential_id}" in operation.path:
            kind, prefix = next((kind, path) for path, kind in KINDS.items() if operation.path.startswith(path))
            with self.database.transaction() as connection:
                self.ids[prefix] = create_credential(connection, self.admin, kind, now=time.time())[0].id
        if operation.path == "/api/admin/prices":  # one to remove
            with self.database.transaction() as connection:
                model_prices.set_price(connection, self.model, Price())
        if "/payouts" in operation.path:
            with self.database.transaction() as connection:
                self._prepare_payouts(connection, operation.path)

    def _prepare_payouts(self, connection, path):
        """One that an administrator may decide on, an automatic one, and a freeze to reconcile."""
        lost = path.endswith("/declare-failed")
        state = PayoutState.UNKNOWN if lost else PayoutState.AWAITING_APPROVAL
        made = payout_id(self.admin.id)
        payout = Payout(
            *(made, self.admin.id, "scripted", state, "bob@example.org", False, 1_000, 0, None),
            *(1_000, 0, made if lost else None, "an invoice", 1, None, 1, 1 if lost else None),
        )
        add_payout(connection, payout)
        write_entry(connection, taken(payout))
        self.ids["/api/admin/payouts/"] = self.ids["/api/payouts/"] = payout.id
        set_automatic(connection, Automatic(self.admin.id, "scripted", "bob@example.org", 10**9))
        if path.endswith("/reconcile"):
            freeze(connection, "scripted", "to be reconciled", 1)

    def carried(self, who):
        """What a request brings along. Anew for each operation: one of them logs out."""
        if who == "nobody":
            return {}
        if who == "inference key":
            return {"authorization": f"Bearer {self.key}"}
        with self.database.transaction() as connection:
            token = open_session(connection, self.admin.id, now=time.time(), lifetime_s=600, recent_s=600)
        return {"cookie": f"{COOKIE}={token}", "origin": self.url}

    def make_real(self, case, number):
        """Name what is there, and say what no schema can tell to be right."""
        for name in case.path_parameters:
            named = (id_ for path, id_ in self.ids.items() if case.operation.path.startswith(path))
            case.path_parameters[name] = "auto" if name == "model_id" else next(named)
        right = {
            "name": f"somebody{number}",
            "password": "correct horse",
            "reason": "because",
            "amount_sats": 1 + number % 100,
            "amount_eur": None,
            "provider": "scripted",
            "destination": "bob@example.org",
            "threshold_sats": 10_000,
            "adopt": {},
            "ours": [],
            "amount_msat": 10 ** (number % 12),
            "scopes": ["node" if "node" in case.operation.path else "inference"],
            "expires_at": None,
            "models": None,
            "limits": {},
            "route": {"max_price": 1.5},
            "used_by": None,
            "budgets": {},
            "model": self.model if case.operation.path.startswith("/api/nodes/") else "auto",
            "messages": [{"role": "user", "content": "Hi"}],
            "prompt": "Hi",
            "input": "Hi",
            "dimensions": 2,
            "n": 1,
            "max_tokens": 9,
        }
        if isinstance(case.body, dict):
            case.body = {name: right.get(name, value) for name, value in case.body.items()}
        if "model" in (case.query or {}):
            case.query["model"] = self.model


def make_nasty(case, text):
    """Put `text` wherever the request has some."""
    case.query = {name: text if isinstance(value, str) else value for name, value in (case.query or {}).items()}
    case.path_parameters = {name: quote(text.replace("/", ""), safe="") for name in case.path_parameters or {}}
    if isinstance(case.body, dict):
        case.body = {name: text if isinstance(value, str) else value for name, value in case.body.items()}


@pytest.mark.parametrize(("site", "run"), [(name, name) for name in RUNS], indirect=["site"], ids=RUNS)
def test_every_answer_is_one_that_the_schema_has(site, run):
    import requests
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    who, examples, reached = RUNS[run]
    wanted = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]
    seen, good, problems, session = Counter(), set(), [], requests.Session()

    def fuzz(operation, mode):
        site.prepare(operation)
        carried = site.carried(who)

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy(generation_mode=mode),
            real=st.booleans(),
            nasty=st.none() | st.none() | st.sampled_from(NASTY),
        )
        def ask(case, real, nasty):
            if nasty:
                make_nasty(case, nasty)
            elif real:
                site.make_real(case, sum(seen.values()))
            answer = case.call(base_url=site.url, headers=carried, session=session)
            seen[answer.status_code] += 1
            if answer.status_code < 300:
                good.add(operation.label)
            case.validate_response(answer, checks=wanted)

        try:
            ask()
        except Unsatisfiable as error:
            if mode is GenerationMode.POSITIVE or operation.label not in NOTHING_WRONG:
                problems.append(f"{operation.label}, {mode.value}: {error}")
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - the other operations are tried too
            problems.append(f"{operation.label}, {mode.value}: {error}")

    schema = schemathesis.openapi.from_url(f"{site.url}/schema")
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        fuzz(operation, GenerationMode.POSITIVE)
        if operation.body or operation.path_parameters or operation.query:
            fuzz(operation, GenerationMode.NEGATIVE)
    session.close()
    print(f"\n{run}: {sum(seen.values())} requests, by status: {dict(sorted(seen.items()))}")
    assert not problems, "\n\n".join(problems)
    wanted_good = {each.label for each in operations if each.path.startswith(reached)} - NEVER
    assert wanted_good <= good
