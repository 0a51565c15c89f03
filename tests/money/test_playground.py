"""/api/playground/chat: the journey of a request for somebody who is logged in, whose session is no key."""

import asyncio
import json
import time

import httpx
import pytest
from argon2 import PasswordHasher

from lightphon_core.accounts import passwords
from lightphon_core.accounts.membership import set_password
from lightphon_core.accounts.people import get_account
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.settings import ServerSettings
from lightphon_core.testing.scripted import chunk, says

FUNDS = 100_000
PASSWORD = "correct horse battery"
PATH = "/api/playground/chat"
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}], "stream": True}


@pytest.fixture
def browsers(monkeypatch):
    """`browsers(running)`: a browser that is logged in to the account "test"."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    opened = []

    def browser(running):
        with running.server.database.transaction() as connection:
            account = get_account(connection, "test")
            cookie = open_session(connection, account.id, now=time.time(), lifetime_s=600, recent_s=600)
        headers = {"origin": running.url}
        opened.append(httpx.Client(base_url=running.url, headers=headers, cookies={COOKIE: cookie}, timeout=20))
        return opened[-1]

    yield browser
    for each in opened:
        each.close()


def test_it_streams_and_is_charged_once_under_one_name(start_priced, browsers):
    _, running, books = start_priced(says("Hel", "lo"), funds=FUNDS)
    for browser in (browsers(running), browsers(running)):
        answer = browser.post(PATH, json=BODY)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-request-id"].startswith("req_")
        events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
        assert events.pop() == "[DONE]"
        chunks = [json.loads(event) for event in events]
        assert "".join(each["choices"][0]["delta"].get("content", "") for each in chunks) == "Hello"
        assert chunks[-1]["usage"]["cost_msat"] == 2_000
        assert chunks[-1]["routing_info"]["node_name"] == "scripted-node"
    whole = browser.post(PATH, json={**BODY, "stream": False}).json()
    assert whole["choices"][0]["message"]["content"] == "Hello"
    assert (books.wallet(), books.held(), books.charges(), books.problems()) == (FUNDS - 3 * 2_000, 0, 3, [])
    used = browser.get("/api/usage?by=key").json()["data"]
    assert [(each["key"], each["key_name"], each["requests"]) for each in used] == [("playground", "Playground", 3)]
    assert {row.credential_id for row in books.usage()} == {"playground"}


def test_it_is_for_our_own_pages_and_for_sessions_alone(start_priced, browsers):
    backend, running, books = start_priced(says("Hello"), funds=FUNDS)
    browser = browsers(running)
    account_key = browser.post("/api/keys", json={"scopes": ["account"]}).json()["secret"]
    own, cookie = {"origin": running.url}, {"cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    ended = {"cookie": f"{COOKIE}=ls_{'x' * 36}"}
    for headers, expected in (
        ({**cookie, "origin": "https://evil.example"}, (403, "wrong_origin")),
        (cookie, (403, "wrong_origin")),
        ({}, (401, "not_logged_in")),
        ({**ended, **own}, (401, "session_ended")),
        ({"authorization": f"Bearer {running.api_key}"}, (403, "permission_denied")),
        ({"authorization": f"Bearer {account_key}"}, (403, "permission_denied")),
    ):
        error = httpx.post(running.url + PATH, json=BODY, headers=headers)
        assert (error.status_code, error.json()["error"]["code"]) == expected
    preflight = httpx.options(running.url + PATH, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in preflight.headers
    assert (backend.jobs, books.wallet()) == ([], FUNDS)


def test_a_body_may_be_as_long_as_that_of_any_request(start_priced, browsers):
    _, running, _ = start_priced(says("Hello"), funds=FUNDS, server=ServerSettings(max_body_bytes=40_000))
    browser = browsers(running)
    for length, expected in ((20_000, 200), (40_000, 413)):
        messages = [{"role": "user", "content": "".ljust(length)}]
        assert browser.post(PATH, json={**BODY, "messages": messages}).status_code == expected


def log_out(browser, other):
    return browser.post("/api/account/logout")


def log_in_anew(browser, other):
    return browser.post("/api/account/login", json={"name": "test", "password": PASSWORD})


def change_the_password(browser, other):
    change = {"current_password": PASSWORD, "new_password": "another password"}
    return other.post("/api/account/password", json=change)


@pytest.mark.parametrize("end", [log_out, log_in_anew, change_the_password])
def test_an_answer_ends_with_its_session(start_priced, browsers, end):
    async def endless(job):
        yield chunk({"content": " word"})
        await asyncio.Event().wait()

    backend, running, books = start_priced(endless, funds=FUNDS)
    with running.server.database.transaction() as connection:
        set_password(connection, get_account(connection, "test").id, passwords._hasher.hash(PASSWORD))
    browser, other = browsers(running), browsers(running)
    carried = {"cookie": f"{COOKIE}={browser.cookies[COOKIE]}", "origin": running.url}
    with httpx.stream("POST", running.url + PATH, json=BODY, headers=carried, timeout=20) as reply:
        lines = reply.iter_lines()
        assert any(" word" in line for line in lines)
        assert end(browser, other).status_code == 200
        rest = "\n".join(lines)
    assert '"code":"session_ended"' in rest
    assert "[DONE]" not in rest
    assert len(backend.closed) == 1
    assert (books.wallet(), books.held(), books.charges(), books.problems()) == (FUNDS - 1_000, 0, 1, [])
