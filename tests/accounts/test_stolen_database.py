"""Whoever has a copy of the database has nothing that opens anything."""

import time
from contextlib import closing
from urllib.parse import quote

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from lightphon_core.accounts import passwords
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.invites import create_invite
from lightphon_core.accounts.people import get_account
from lightphon_core.accounts.secrets import Kind, hash_secret
from lightphon_core.accounts.sessions import COOKIE
from lightphon_core.settings import AccountSettings, StorageSettings
from lightphon_core.storage.schema import metadata
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says

PASSWORD = "correct horse battery staple"
PART = 12
REFUSED = {"bearer": {401}, "path": {401, 404}, "cookie": {401}, "invite": {403}, "password": {401}}


@pytest.fixture
def running(start_server, database_url, monkeypatch):
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    often = AccountSettings("invite", logins_per_minute=100_000, logins_per_minute_per_address=100_000)
    return start_server(
        plugin_of(ScriptedBackend(says("x"))), accounts=often, storage=StorageSettings(url=database_url)
    )


@pytest.fixture
def client(running):
    with httpx.Client(base_url=running.url, timeout=30) as client:
        yield client


@pytest.fixture
def doors(client):
    """Every way to show a secret over HTTP."""

    def bearer(text):
        return client.get("/v1/models", headers={"authorization": b"Bearer " + text.encode()})

    def path(text):
        return client.get(f"/api/agent/{quote(text, safe='')}/v1/models")

    def cookie(text):
        return client.get("/api/account", headers={"cookie": f"{COOKIE}=".encode() + text.encode()})

    def invite(text):
        client.cookies.clear()
        body = {"name": f"new-{time.monotonic_ns()}", "password": PASSWORD, "invite": text}
        return client.post("/api/account/register", json=body)

    def password(text):
        client.cookies.clear()
        return client.post("/api/account/login", json={"name": "alice", "password": text})

    return {door.__name__: door for door in (bearer, path, cookie, invite, password)}


def copied(database):
    """Every text in any row, and the content as a whole: all rows, and of SQLite the files too."""
    with database.snapshot() as connection:
        rows = [row for table in metadata.sorted_tables for row in connection.execute(select(table))]
    values = {value for row in rows for value in row if isinstance(value, str) and value}
    content = "\n".join(repr(tuple(row)) for row in rows).encode()
    if database.path is not None:
        content += b"".join(path.read_bytes() for path in database.path.parent.iterdir())
    return values, content


def test_nothing_in_a_copy_opens_anything(running, client, doors):
    database, secrets = running.server.database, {}
    with database.transaction() as connection:
        used, secrets["invite"] = (create_invite(connection, now=time.time(), lifetime_s=600) for _ in range(2))
    alice = {"name": "alice", "password": PASSWORD}
    assert client.post("/api/account/register", json={**alice, "invite": used}).status_code == 200
    first = client.cookies[COOKIE]
    client.cookies.clear()
    for name in (PASSWORD, f"a{first}"):  # typed into the wrong field
        assert client.post("/api/account/login", json={**alice, "name": name}).status_code == 401
    assert client.post("/api/account/login", json=alice).status_code == 200
    secrets["cookie"], secrets["password"] = client.cookies[COOKIE], PASSWORD
    client.cookies.clear()
    with database.transaction() as connection:
        account = get_account(connection, "alice")
        for kind, door in zip(Kind, ("bearer", "path", "node"), strict=True):
            _, secrets[door] = create_credential(connection, account, kind, now=time.time())
    for base_url, key in (
        (f"{running.url}/v1", secrets["bearer"]),
        (f"{running.url}/api/agent/{secrets['path']}", "none"),
    ):
        with closing(running.openai(base_url=base_url, api_key=key)) as openai:
            openai.chat.completions.create(model="auto", messages=[{"role": "user", "content": "Hi"}])

    values, content = copied(database)
    assert hash_secret(secrets["bearer"]) in values  # it is here that they would be
    assert any(value.startswith("$argon2id$") for value in values)
    for secret in (first, used, *secrets.values()):
        body = secret[3:] if secret[2] == "_" else secret
        assert not [at for at in range(len(body) - PART + 1) if body[at : at + PART].encode() in content]

    for value in sorted(values):
        for name, door in doors.items():
            answer = door(value)
            assert answer.status_code in REFUSED[name], (name, answer.text)
            assert "set-cookie" not in answer.headers
    assert doors["bearer"](secrets.pop("node")).status_code == 403  # known, but not for that
    assert {name: doors[name](secret).status_code for name, secret in secrets.items()} == dict.fromkeys(REFUSED, 200)
