"""A key that is revoked ends the answers under way with it, within a moment; what was delivered is charged for."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lightphon_core.accounts.credentials import create_credential, find_by_secret, revoke_credential
from lightphon_core.accounts.people import create_account, get_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.testing.scripted import chunk

FUNDS = 100_000
WORDS = 3
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}


class Endless:
    """A reply of three words, each worth a sat, and then nothing for ever."""

    def __init__(self):
        self.said = threading.Event()

    async def __call__(self, job):
        yield b"".join(chunk({"content": " word"}) for _ in range(WORDS))
        self.said.set()
        await asyncio.Event().wait()


def browser(running, connection, account):
    cookie = open_session(connection, account.id, now=time.time(), lifetime_s=600, recent_s=600)
    return httpx.Client(base_url=running.url, headers={"origin": running.url}, cookies={COOKIE: cookie})


def revoke(running):
    with running.server.database.transaction() as connection:
        key = find_by_secret(connection, Kind.API_KEY, running.api_key)
        client = browser(running, connection, get_account(connection, "test"))
    with client:
        assert client.delete(f"/api/keys/{key.id}").status_code == 200


def block(running):
    with running.server.database.transaction() as connection:
        test = get_account(connection, "test").id
        client = browser(running, connection, create_account(connection, "root", now=time.time(), admin=True))
    with client:
        assert client.post(f"/api/admin/accounts/{test}/block").status_code == 200


def settled(running):
    deadline = time.monotonic() + 10
    while running.server.gateway.tasks._running:
        assert time.monotonic() < deadline, "it did not end in time"
        threading.Event().wait(0.005)
    running.server.call(running.server.gateway.ledger.close())


def ask(running, *, stream):
    headers = {"authorization": f"Bearer {running.api_key}"}
    url = running.url + "/v1/chat/completions"
    return httpx.post(url, json={**BODY, "stream": stream}, headers=headers, timeout=20)


@pytest.mark.parametrize(("end", "code"), [(revoke, "invalid_api_key"), (block, "account_blocked")])
def test_a_stream_ends_in_an_error_and_pays_for_what_came(start_priced, end, code):
    backend, running, books = start_priced(Endless(), funds=FUNDS)
    url, headers = running.url + "/v1/chat/completions", {"authorization": f"Bearer {running.api_key}"}
    with httpx.stream("POST", url, json={**BODY, "stream": True}, headers=headers, timeout=20) as reply:
        lines, seen = reply.iter_lines(), []
        while sum(" word" in line for line in seen) < WORDS:
            seen.append(next(lines))
        end(running)
        rest = "\n".join(lines)
    assert f'"code":"{code}"' in rest
    assert '"finish_reason":"error"' in rest
    assert "[DONE]" not in rest
    settled(running)
    assert len(backend.closed) == 1
    assert (books.wallet(), books.held(), books.charges(), books.problems()) == (FUNDS - WORDS * 1_000, 0, 1, [])


def test_of_a_whole_answer_nothing_was_delivered(start_priced):
    reply = Endless()
    backend, running, books = start_priced(reply, funds=FUNDS)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, running, stream=False)
        assert reply.said.wait(10)
        revoke(running)
        assert answer.result(10).status_code == 401
    settled(running)
    assert len(backend.closed) == 1
    assert (books.wallet(), books.held(), books.charges()) == (FUNDS, 0, 0)


def test_one_that_waits_for_a_slot_leaves_the_queue_and_other_keys_go_on(start_priced):
    reply = Endless()
    backend, running, _ = start_priced(reply, funds=FUNDS)
    backend.slots = 1
    running.server._loop.call_soon_threadsafe(backend.changed)
    with running.server.database.transaction() as connection:
        other = create_credential(connection, get_account(connection, "test"), Kind.API_KEY, now=time.time())[1]
    with ThreadPoolExecutor() as pool, httpx.Client(timeout=20) as client:
        url, headers = running.url + "/v1/chat/completions", {"authorization": f"Bearer {other}"}
        with client.stream("POST", url, json={**BODY, "stream": True}, headers=headers) as stays:
            assert reply.said.wait(10)
            waits = pool.submit(ask, running, stream=False)
            deadline = time.monotonic() + 10
            while not len(running.server.gateway.waiting):
                assert time.monotonic() < deadline, "it did not wait"
                threading.Event().wait(0.005)
            revoke(running)
            assert waits.result(10).status_code == 401
            assert len(running.server.gateway.waiting) == 0
            (under_way,) = running.server.gateway.revocation._accounts.values()
            assert len(under_way) == 1
            assert stays.status_code == 200
    settled(running)
    assert running.server.gateway.revocation._accounts == {}
    assert len(backend.jobs) == 1


def test_what_another_process_revoked_is_found_by_looking_now_and_then(start_priced, monkeypatch):
    monkeypatch.setattr("lightphon_core.serving.revocation.LOOK_EVERY_S", 0.02)
    reply = Endless()
    _, running, books = start_priced(reply, funds=FUNDS)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, running, stream=True)
        assert reply.said.wait(10)
        with running.server.database.transaction() as connection:
            key = find_by_secret(connection, Kind.API_KEY, running.api_key)
            revoke_credential(connection, Kind.API_KEY, key.id, now=time.time())
        assert '"code":"invalid_api_key"' in answer.result(10).text
    settled(running)
    assert books.held() == 0
