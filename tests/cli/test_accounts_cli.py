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

from lightphon_core.accounts.secrets import Kind, hash_secret, is_well_formed
from lightphon_core.cli import build
from lightphon_core.storage.engine import Database

GROUPS = {"key": Kind.API_KEY, "agent-token": Kind.AGENT_TOKEN, "node-token": Kind.NODE_TOKEN}


def as_json(result):
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_accounts(run, data_dir):
    assert "No accounts in" in run("account", "list").stderr
    assert "Account alice created" in run("account", "create", "alice").stdout
    bob = as_json(run("account", "create", "bob", "--json"))
    listed = as_json(run("account", "list", "--json"))["accounts"]
    assert [each["name"] for each in listed] == ["alice", "bob"]
    assert listed[1] == bob
    assert bob["created_at"].endswith("Z")
    table = run("account", "list").stdout.splitlines()
    assert table[0].split() == ["ID", "NAME", "CREATED"]
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
    result = run(*args, "--json", status=2)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_directory_that_cannot_be_used(run, data_dir):
    data_dir.write_text("a file")
    assert "cannot be opened for writing" in run("account", "list", status=2).stderr


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
    result = run("account", "invite", "--json")
    invite = json.loads(result.stdout)["invite"]
    assert "Registration is closed" in result.stderr
    (shown,) = re.findall(r"li_\w{36}", run("account", "invite").stdout)
    assert shown != invite
    assert (hash_secret(invite),) in rows(data_dir, "SELECT code_hash FROM invites")


def test_blocking(run, data_dir):
    run("account", "create", "alice")
    assert "is blocked" in run("account", "block", "alice").stdout
    assert as_json(run("account", "list", "--json"))["accounts"][0]["blocked_at"].endswith("Z")
    run("account", "unblock", "alice")
    assert as_json(run("account", "list", "--json"))["accounts"][0]["blocked_at"] is None
