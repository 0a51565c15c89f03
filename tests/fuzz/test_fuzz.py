"""Requests made from /schema itself, valid ones and broken ones, by schemathesis: none is answered by a fault of ours,
and every answer is one that /schema says, with its status, type and body. `.ci/fuzz` brings schemathesis.

The requests are the same in every run. What is named in a path exists half of the time.
"""

import time
from collections import Counter

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lightphon_core.accounts import passwords
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.store import carry_out
from lightphon_core.settings import AccountSettings, StorageSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says

pytestmark = pytest.mark.fuzz

# Whose requests, on which database, and how many of them for each operation.
RUNS = [
    ("admin", "sqlite", 14),
    ("admin", "postgresql", 8),
    ("inference key", "sqlite", 4),
    ("nobody", "sqlite", 2),
]
LIKES = {"credential_id": "keys", "account_id": "accounts", "token": "tokens"}


@pytest.fixture
def site(request, run_server, tmp_path, monkeypatch):
    """A server with some people, and what requests may name; `carried(who)` is what a request brings along."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr(passwords, "hash_password", lambda _: passwords._hasher.hash("x" * 12))
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").create(request.getfixturevalue("_migrated_postgres"))
    accounts = AccountSettings(registration="open", logins_per_minute=10**6, logins_per_minute_per_address=10**6)
    source = plugin_of(ScriptedBackend(says("Hello")))
    with run_server(tmp_path / "data", source, accounts=accounts, storage=StorageSettings(url=url)) as running:
        yield Site(running)
    if url is not None:
        request.getfixturevalue("postgres").drop(url)


class Site:
    def __init__(self, running):
        self.url, self.database = running.url, running.server.database
        with self.database.transaction() as connection:
            now = time.time()
            self.admin = create_account(connection, "root", now=now, admin=True)
            victim = create_account(connection, "victim", now=now)
            for account in (self.admin, victim):  # so that neither can be deleted
                carry_out(connection, [adjustment.credit(account.id, 10_000_000, "to begin with")])
            made = [create_credential(connection, self.admin, kind, now=now) for kind in Kind]
            self.key = made[0][1]
        self.named = {
            "keys": [credential.id for credential, _ in made],
            "accounts": [self.admin.id, victim.id],
            "tokens": [made[1][1]],
        }

    def carried(self, who):
        """Anew for each operation: one of them logs out."""
        if who == "nobody":
            return {}
        if who == "inference key":
            return {"authorization": f"Bearer {self.key}"}
        with self.database.transaction() as connection:
            token = open_session(connection, self.admin.id, now=time.time(), lifetime_s=600, recent_s=600)
        return {"cookie": f"{COOKIE}={token}", "origin": self.url}


@pytest.mark.parametrize(("who", "site", "examples"), RUNS, indirect=["site"], ids=[f"{w}-{s}" for w, s, _ in RUNS])
def test_every_answer_is_one_that_the_schema_has(who, site, examples):
    import requests
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    schema = schemathesis.openapi.from_url(f"{site.url}/schema")
    schema.config.output.sanitization.enabled = False
    wanted = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]
    seen, problems, session = Counter(), [], requests.Session()

    def fuzz(operation, mode):
        carried = site.carried(who)

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans(), which=st.integers(0, 99))
        def run(case, real, which):
            for name, likes in LIKES.items():
                if real and name in case.path_parameters:
                    case.path_parameters[name] = site.named[likes][which % len(site.named[likes])]
            answer = case.call(base_url=site.url, headers=carried, session=session)
            seen[answer.status_code] += 1
            case.validate_response(answer, checks=wanted)

        run()

    for result in schema.get_all_operations():
        operation = result.ok()
        modes = [GenerationMode.POSITIVE]
        if operation.body or operation.path_parameters or operation.query:
            modes.append(GenerationMode.NEGATIVE)
        for mode in modes:
            try:
                fuzz(operation, mode)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one operation, the others are tried too
                problems.append(f"{operation.label}, {mode.value}: {error!r}")
    session.close()
    print(f"\n{who}: {sum(seen.values())} requests, by status: {dict(sorted(seen.items()))}")
    assert not problems, "\n\n".join(problems)
    # Fuzzing that gets through nowhere would prove nothing.
    assert seen[200] > 50
    assert seen[400] > 20
