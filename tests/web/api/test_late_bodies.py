"""What a session or a key may no longer do when the body of its request is there at last."""

import json
import socket
import time

import pytest
from sqlalchemy import func, select

from lightphon_core.accounts.people import set_admin, set_blocked
from lightphon_core.accounts.sessions import COOKIE, end_sessions
from lightphon_core.storage.schema import credentials, entries, microseconds
from lightphon_core.web import inference


def post_slowly(client, path, body, meanwhile, key=None):
    """The head of a request; then, when the server asks for its body, `meanwhile()`; then the body. The answer."""
    body = json.dumps(body).encode()
    head = [f"POST {path} HTTP/1.1", f"host: {client.base_url.host}:{client.base_url.port}", "connection: close"]
    if key is None:
        head += [f"origin: {client.headers['origin']}", f"cookie: {COOKIE}={client.cookies[COOKIE]}"]
    else:
        head += [f"authorization: Bearer {key}"]
    head += [f"content-length: {len(body)}", "expect: 100-continue"]
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        asked_for = connection.recv(65536)
        assert asked_for.startswith(b"HTTP/1.1 100 "), asked_for
        meanwhile()
        connection.sendall(body)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    head, _, content = answer.partition(b"\r\n\r\n")
    error = json.loads(content).get("error", {})
    return int(head.split()[1]), error.get("code")


@pytest.fixture
def count(people):
    def count(table):
        with people.running.server.database.snapshot() as connection:
            return connection.scalar(select(func.count()).select_from(table))

    return count


@pytest.fixture
def does(people):
    """`does(function, ...)`: what calls the function in a transaction."""

    def does(function, *arguments):
        def do():
            with people.running.server.database.transaction() as connection:
                function(connection, *arguments)

        return do

    return does


def test_a_session_that_was_ended_makes_no_key(people, does, count):
    alice = people("alice")
    made = count(credentials)
    answer = post_slowly(alice, "/api/keys", {}, does(end_sessions, alice.account.id))
    assert answer == (401, "session_ended")
    assert count(credentials) == made


def test_who_was_blocked_makes_no_key(people, does, count):
    bob = people("bob")
    made = count(credentials)
    answer = post_slowly(bob, "/api/keys", {}, does(set_blocked, bob.account, microseconds(time.time())))
    assert answer == (401, "account_blocked")
    assert count(credentials) == made


def test_who_is_no_administrator_any_more_gives_no_money(people, does, count):
    root = people("root", admin=True)
    written = count(entries)
    path = f"/api/admin/accounts/{root.account.id}/credit"
    answer = post_slowly(root, path, {"amount_msat": 1, "reason": "x"}, does(set_admin, root.account, None))
    assert answer == (403, "permission_denied")
    assert count(entries) == written


def test_a_body_that_is_merely_slow_is_welcome(people):
    assert post_slowly(people("carol"), "/api/keys", {}, lambda: None) == (201, None)


def test_a_session_that_was_ended_asks_for_nothing(people, does, monkeypatch):
    monkeypatch.setattr(inference, "KNOWN_S", 0.0)
    erin = people("erin")
    ask = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    assert post_slowly(erin, "/api/playground/chat", ask, lambda: None) == (200, None)
    asked = len(people.backend.jobs)
    ended = post_slowly(erin, "/api/playground/chat", ask, does(end_sessions, erin.account.id))
    assert ended == (401, "session_ended")
    assert len(people.backend.jobs) == asked


def test_a_key_that_was_revoked_asks_for_nothing(people, monkeypatch):
    monkeypatch.setattr(inference, "KNOWN_S", 0.0)
    dave = people("dave")
    key = dave.post("/api/keys", json={}).json()
    ask = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    assert post_slowly(dave, "/v1/chat/completions", ask, lambda: None, key["secret"]) == (200, None)
    asked = len(people.backend.jobs)
    revoke = lambda: dave.delete(f"/api/keys/{key['id']}").raise_for_status()  # noqa: E731
    assert post_slowly(dave, "/v1/chat/completions", ask, revoke, key["secret"]) == (401, "invalid_api_key")
    assert len(people.backend.jobs) == asked
