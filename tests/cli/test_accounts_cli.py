"""The commands for accounts and credentials, as a person and as a script meets them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner
from sqlalchemy import text

from lightphon_core.accounts.credentials import find_by_secret
from lightphon_core.accounts.secrets import Kind, hash_secret, is_well_formed
from lightphon_core.cli import build
from lightphon_core.cli.terms import parse_expiry
from lightphon_core.ledger.budgets import budgets_of
from lightphon_core.ledger.commands import Count
from lightphon_core.ledger.periods import DAY_US
from lightphon_core.ledger.store import carry_out
from lightphon_core.storage.engine import Database
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import Filters

GROUPS = {"key": Kind.API_KEY, "agent-token": Kind.AGENT_TOKEN, "node-token": Kind.NODE_TOKEN}


def as_json(result):
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_accounts(run, data_dir):
    assert "Account alice created" in run("account", "create", "alice").stdout
    bob = as_json(run("account", "create", "bob", "--json"))
    listed = as_json(run("account", "list", "--json"))["accounts"]
    assert [each["name"] for each in listed] == ["alice", "bob"]
    assert listed[1] == bob
    assert bob["created_at"].endswith("Z")
    table = run("account", "list").stdout.splitlines()
    assert table[0].split() == ["ID", "NAME", "CREATED", "ADMIN", "SINCE", "BLOCKED", "SINCE"]
    assert table[2].split() == [bob["id"], "bob", bob["created_at"]]
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert (data_dir / "lightphon.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("group", GROUPS)
def test_a_credential_from_creation_to_revocation(run, data_dir, group):
    kind = GROUPS[group]
    run("account", "create", "alice")
    made = as_json(run(group, "create", "--account", "alice", "--name", "my laptop", "--json"))
    secret = made.pop("secret")
    assert is_well_formed(kind, secret)
    if kind is Kind.AGENT_TOKEN:
        assert made.pop("path") == f"/api/agent/{secret}"
    assert made["hint"] == secret[-4:]
    assert (made["kind"], made["account"], made["name"], made["revoked_at"]) == (kind.value, "alice", "my laptop", None)
    assert hash_secret(secret).encode() in (data_dir / "lightphon.db").read_bytes()

    assert as_json(run(group, "list", "--json")) == {"credentials": [made]}
    assert as_json(run(group, "list", "--account", "alice", "--json")) == {"credentials": [made]}
    for other in GROUPS:
        if other != group:
            assert as_json(run(other, "list", "--json")) == {"credentials": []}
            assert "is the id of " in run(other, "revoke", made["id"], status=2).stderr
    table = run(group, "list").stdout
    assert made["id"] in table
    assert "my laptop" in table
    assert secret not in table

    revoked = as_json(run(group, "revoke", made["id"], "--json"))
    assert revoked["revoked_at"] is not None
    assert revoked == {**made, "revoked_at": revoked["revoked_at"]}
    assert f"{made['id']} of alice is revoked" in run(group, "revoke", made["id"]).stdout


@pytest.mark.parametrize("group", ["key", "agent-token"])
def test_when_a_key_got_its_last_answer(run, data_dir, group):
    run("account", "create", "alice")
    made, idle = (as_json(run(group, "create", "--account", "alice", "--name", name, "--json")) for name in "ab")
    whose = {"account_id": made["account_id"], "credential_id": made["id"], "model": "m", "node_id": "n"}
    answer = {"id": "x", **whose, **dict.fromkeys(("prompt_tokens", "completion_tokens", "ms"), 9)}
    with Database(f"sqlite:///{data_dir}/lightphon.db") as database, database.transaction() as connection:
        carry_out(connection, [Count(answer)], clock=lambda _: 20_000 * DAY_US)
    listed = as_json(run(group, "list", "--json"))["credentials"]
    assert {each["name"]: each["last_answer_on"] for each in listed} == {"a": "2024-10-04", "b": None}
    head, *lines = run(group, "list").stdout.splitlines()
    place = head.index("LAST ANSWER")
    assert [line[place:].split()[0] for line in lines] == ["2024-10-04", "never"]
    assert max(map(len, [head, *lines])) <= 100
    assert as_json(run(group, "revoke", made["id"], "--json"))["last_answer_on"] == "2024-10-04"
    assert idle["last_answer_on"] is None


def test_a_node_token_asks_nothing(run):
    run("account", "create", "alice")
    run("node-token", "create", "--account", "alice")
    assert "LAST ANSWER" not in run("node-token", "list").stdout


TERMS = [
    *("--name", "ci", "--expires", "2031-01-01", "--model", "b/two", "--model", "a"),
    *("--requests-per-minute", "60", "--tokens-per-minute", "5000", "--concurrent", "2"),
    *("--budget", "day=0.5", "--budget", "total=5000"),
    *("--route", '{"max_price": 0.5, "providers": "Meta"}', "--used-by", "OpenClaw"),
]


def test_a_key_with_terms(run, data_dir):
    run("account", "create", "alice")
    options = [*TERMS, "--scope", "manage", "--scope", "inference"]
    made = as_json(run("key", "create", "--account", "alice", *options, "--json"))
    secret = made.pop("secret")
    assert {
        "scopes": ["inference", "manage"],
        "expires_at": "2031-01-01T00:00:00Z",
        "models": ["a", "b/two"],
        "limits": {"requests_per_minute": 60, "tokens_per_minute": 5000, "concurrent_requests": 2},
    }.items() <= made.items()
    assert made["route"] == {"max_price": "0.5", "providers": ["meta"]}
    assert made["used_by"] == "openclaw"
    assert made["budgets"]["month"] is None
    assert made["budgets"]["day"].pop("resets_at").endswith("T00:00:00Z")
    assert made["budgets"]["day"] == {"amount_msat": 500, "spent_msat": 0, "held_msat": 0}
    assert made["budgets"]["total"] == {"amount_msat": 5_000_000, "spent_msat": 0, "held_msat": 0, "resets_at": None}
    with Database(f"sqlite:///{data_dir}/lightphon.db") as database, database.snapshot() as connection:
        found = find_by_secret(connection, Kind.API_KEY, secret)
        assert (found.id, found.terms.models) == (made["id"], {"a", "b/two"})
        assert found.terms.filters == Filters(max_price_msat=500, providers=frozenset({"meta"}))
        assert budgets_of(connection, [found.id])[found.id][0].amount == 500

    line = run("key", "list").stdout.splitlines()[1]
    assert "valid until 2031-01-01T00:00:00Z" in line
    assert line.endswith(
        "inference, manage; models a, b/two; 60 requests/min; 5000 tokens/min; 2 at once;"
        ' route {"providers":["meta"],"max_price":"0.5"}; used by openclaw;'
        " 0 of 0.5 sats a day; 0 of 5000 sats in all"
    )
    run("account", "block", "alice")
    assert "account blocked" in run("key", "list").stdout
    run("key", "revoke", made["id"])
    assert "revoked 2" in run("key", "list").stdout
    assert "agent token" in run("agent-token", "create", "--account", "alice", *TERMS).stdout


def test_when_a_credential_ends():
    now = 1_800_000_000.0
    assert parse_expiry("30d", now) == 1_800_000_000_000_000 + 30 * 86_400_000_000
    assert parse_expiry("12h", now) == 1_800_000_000_000_000 + 43_200_000_000
    assert parse_expiry("1970-01-02", now) == 86_400_000_000
    assert parse_expiry("1970-01-02T01:00:00+01:00", now) == 86_400_000_000
    assert parse_expiry("1970-01-02T00:00:00Z", now) == 86_400_000_000


@pytest.mark.parametrize(
    ("group", "options", "message"),
    [
        ("key", ["--expires", "soon"], "It is written as 30d, 12h, or a date"),
        ("key", ["--expires", "2020-01-01"], "It expires in the future"),
        ("key", ["--expires", "99999d"], "within ten years"),
        ("key", ["--route", '{"max_prize": 1}'], "Did you mean 'max_price'?"),
        ("agent-token", ["--route", "cheap"], "is not valid JSON"),
        ("key", ["--used-by", "open claw"], "a word of up to 32 letters"),
        ("key", ["--budget", "week=5"], "one of day, month, total"),
        ("key", ["--budget", "day"], "one of day, month, total"),
        ("key", ["--budget", "day=1e3"], "is written as 12 or 0.5"),
        ("key", ["--budget", "day=1", "--budget", "day=2"], "Each period has one budget"),
        ("key", ["--concurrent", "0"], "0 is not in the range"),
        ("key", ["--tokens-per-minute", "99999999999"], "tokens_per_minute is from 1 to"),
        ("key", ["--scope", "node"], "'node' is not one of"),
        ("key", ["--scope", "admin"], "Only an administrator's key"),
        ("agent-token", ["--scope", "inference"], "No such option"),
        ("node-token", ["--model", "a"], "No such option"),
    ],
)
def test_terms_that_are_none(run, group, options, message):
    run("account", "create", "alice")
    assert message in run(group, "create", "--account", "alice", *options, status=2).stderr
    assert as_json(run(group, "list", "--json")) == {"credentials": []}


def test_a_gateway_that_no_plugin_knows_is_taken_for_a_slip(run, monkeypatch):
    sources = [plugin_of(ScriptedBackend(says("Hi"), gateway="openclaw"))]
    monkeypatch.setattr("lightphon_core.cli.credentials.installed", lambda: sources)
    run("account", "create", "alice")
    create = ("key", "create", "--account", "alice", "--used-by")
    assert "Did you mean 'openclaw'?" in run(*create, "openclow", status=2).stderr
    assert as_json(run("key", "list", "--json")) == {"credentials": []}
    assert "used by openclaw" in run(*create, "OpenClaw").stdout
    monkeypatch.setenv("LIGHTPHON_PLUGINS_BLOCK", "scripted")
    assert "used by openclow" in run(*create, "openclow").stdout  # nobody knows any


def test_administrators(run):
    run("account", "create", "alice")
    assert "is now an administrator" in run("account", "admin", "alice").stdout
    (alice,) = as_json(run("account", "list", "--json"))["accounts"]
    assert alice["is_admin"] is True
    assert len(run("account", "list").stdout.splitlines()[1].split()) == 4
    key = as_json(run("key", "create", "--account", "alice", "--scope", "admin", "--json"))
    assert key["scopes"] == ["admin"]
    assert "no longer an administrator" in run("account", "admin", "alice", "--remove").stdout
    assert as_json(run("account", "list", "--json"))["accounts"][0]["is_admin"] is False
    assert "no account named 'bob'" in run("account", "admin", "bob", status=2).stderr


def test_people_see_the_secret_once_and_are_told_so(run):
    run("account", "create", "alice")
    shown = run("agent-token", "create", "--account", "alice").stdout
    secret = next(line.strip() for line in shown.splitlines() if line.strip().startswith("at_"))
    assert is_well_formed(Kind.AGENT_TOKEN, secret)
    assert f"/api/agent/{secret}" in shown
    assert "the only time it is shown" in shown
    assert "/api/agent/" not in run("key", "create", "--account", "alice").stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["account", "create", "a b"], "An account name has 1 to 64"),
        (["key", "create", "--account", "nobody"], "There is no account named 'nobody'"),
        (["key", "list", "--account", "nobody"], "There is no account named 'nobody'"),
        (["key", "revoke", "cred_x"], "There is no API key with this id"),
        (["key", "list", "--config", "missing.toml"], "missing.toml: the settings file cannot be read"),
    ],
)
def test_errors_are_one_line(run, args, message):
    run("init")
    result = run(*args, "--json", status=2)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_directory_that_cannot_be_used(run, data_dir):
    data_dir.write_text("a file")
    assert "cannot be opened for writing" in run("account", "create", "alice", status=2).stderr


def test_settings_come_from_file_and_environment(data_dir, tmp_path, monkeypatch):
    config = tmp_path / "lightphon.toml"
    config.write_text(f'[storage]\nurl = "sqlite:///{tmp_path}/elsewhere.db"\n')
    monkeypatch.setenv("LIGHTPHON_DATA_DIR", str(data_dir))
    runner = CliRunner()
    assert runner.invoke(build(), ["account", "create", "one", "--config", str(config)]).exit_code == 0
    assert (tmp_path / "elsewhere.db").exists()
    assert not data_dir.exists()
    assert runner.invoke(build(), ["account", "create", "two"]).exit_code == 0
    monkeypatch.setenv("LIGHTPHON_CONFIG", str(config))
    assert json.loads(runner.invoke(build(), ["account", "list", "--json"]).stdout)["accounts"][0]["name"] == "one"


def test_the_installed_command(data_dir):
    command = Path(sys.executable).with_name("lightphon")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTPHON_")}

    def lightphon(*args):
        return subprocess.run(
            [command, *args],
            env={**environ, "LIGHTPHON_DATA_DIR": str(data_dir)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    made = lightphon("account", "create", "alice", "--json")
    assert (made.returncode, made.stderr) == (0, "")
    assert json.loads(made.stdout)["name"] == "alice"
    again = lightphon("account", "create", "alice")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "Error: There is an account named alice already.\n"


def rows(data_dir, query):
    with Database(f"sqlite:///{data_dir}/lightphon.db") as database, database.snapshot() as connection:
        return connection.execute(text(query)).all()


def test_passwords(run, data_dir):
    made = as_json(run("account", "create", "alice", "--password-stdin", "--admin", "--json", stdin="correct horse\n"))
    assert made["is_admin"] is True
    assert as_json(run("account", "create", "bob", "--json"))["is_admin"] is False
    ((_, first), (_, none)) = rows(data_dir, "SELECT name, password_hash FROM accounts ORDER BY name")
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert PasswordHasher().verify(first, "correct horse")
    assert none is None
    assert "at least 10" in run("account", "create", "carol", "--password-stdin", stdin="short\n", status=2).stderr
    assert "no account named" in run("account", "password", "carol", "--password-stdin", stdin="x", status=2).stderr
    changed = run("account", "password", "alice", stdin="another horse\nanother horse\n")
    assert "another horse" not in changed.output
    ((second,),) = rows(data_dir, "SELECT password_hash FROM accounts WHERE name = 'alice'")
    assert PasswordHasher().verify(second, "another horse")


def test_invitations(run, data_dir):
    run("init")
    assert "No accounts in" in run("account", "list").stderr
    result = run("account", "invite", "--json")
    invite = json.loads(result.stdout)["invite"]
    assert "Registration is closed" in result.stderr
    (shown,) = re.findall(r"http://127.0.0.1:8000/register\?invite=(li_\w{36})\n", run("account", "invite").stdout)
    assert shown != invite
    assert (hash_secret(invite),) in rows(data_dir, "SELECT code_hash FROM invites")


def test_blocking(run, data_dir):
    run("account", "create", "alice")
    assert "is blocked" in run("account", "block", "alice").stdout
    assert as_json(run("account", "list", "--json"))["accounts"][0]["blocked_at"].endswith("Z")
    run("account", "unblock", "alice")
    assert as_json(run("account", "list", "--json"))["accounts"][0]["blocked_at"] is None
