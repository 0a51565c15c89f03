"""Budgets of keys over HTTP: what a client is told, where a stream ends, and that no crowd spends more."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator

import httpx
import openai
import pytest
from sqlalchemy import insert, select

from lightphon_core import Job, Price, Unavailable
from lightphon_core.settings import StorageSettings, UsageSettings
from lightphon_core.storage.schema import usage as usage_rows
from lightphon_core.testing import ScriptedBackend
from lightphon_core.testing.scripted import chunk, event, usage

HELLO = [{"role": "user", "content": "Hello!"}]
BODY = {"model": "auto", "messages": HELLO}


async def one_word(job: Job) -> AsyncGenerator[bytes, None]:
    yield chunk({"content": " word"})
    yield chunk(finish="stop") + usage(10, 1) + event("[DONE]")


async def endless(job: Job) -> AsyncGenerator[bytes, None]:
    while True:
        yield chunk({"content": " word"})
        await asyncio.sleep(0)


def post(running) -> httpx.Response:
    headers = {"authorization": f"Bearer {running.api_key}"}
    return httpx.post(running.url + "/v1/chat/completions", json=BODY, headers=headers, timeout=30)


def test_many_at_once_on_one_key_never_spend_more_than_its_budget(start_priced):
    _, running, books = start_priced(one_word, Price(per_request=1_000), funds=10**9)
    books.set_budgets(running, day=15_500, total=10**6)

    async def all_at_once() -> list[int]:
        headers = {"authorization": f"Bearer {running.api_key}"}
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=30, limits=limits) as client:
            replies = await asyncio.gather(*(client.post("/v1/chat/completions", json=BODY) for _ in range(50)))
        return [reply.status_code for reply in replies]

    statuses = asyncio.run(all_at_once())
    assert statuses.count(200) == 15
    assert set(statuses) <= {200, 402, 429, 503}
    assert books.budgets(running) == {"day": (15_000, 0), "total": (15_000, 0)}
    assert (books.wallet(), books.charges(), books.problems()) == (10**9 - 15_000, 15, [])


def test_a_stream_ends_with_length_where_the_budget_does(start_priced):
    price = Price(per_mtok_completion=10**9, per_minute=60_000)
    backend, running, books = start_priced(endless, price, funds=10**9)
    books.set_budgets(running, month=50_000)
    chunks = list(running.openai().chat.completions.create(model="auto", messages=HELLO, stream=True))
    assert chunks[-1].choices[0].finish_reason == "length"
    # The node was told how much it may say.
    assert json.loads(backend.jobs[0].body)["max_tokens"] == 49
    assert 40_000 < chunks[-1].usage.cost_msat <= 50_000
    assert books.budgets(running) == {"month": (chunks[-1].usage.cost_msat, 0)}
    assert (len(backend.closed), books.held(), books.problems()) == (1, 0, [])


@pytest.mark.parametrize(
    ("amounts", "said"),
    [
        ({"day": 3_500}, ["this key's daily budget of 3.5 sats", "It begins anew at 2", "00:00 UTC"]),
        ({"day": 3_500, "month": 3_200}, ["monthly budget of 3.2 sats", "-01 00:00 UTC"]),
        ({"day": 3_500, "total": 0}, ["total budget of 0 sats", "Raise it"]),
    ],
)
def test_a_budget_that_does_not_cover_a_request_is_named(start_priced, amounts, said):
    backend, running, books = start_priced(one_word, Price(per_request=5_000), funds=10**9)
    books.set_budgets(running, **amounts)
    with pytest.raises(openai.APIStatusError) as short:
        running.openai(max_retries=2).chat.completions.create(model="auto", messages=HELLO)
    assert (short.value.status_code, short.value.code) == (402, "budget_exceeded")
    for words in ["needs at least 5 sats", f"and {min(amounts.values()) / 1000:g} are left of", *said]:
        assert words in short.value.message
    assert (backend.jobs, books.wallet(), books.held()) == ([], 10**9, 0)


def test_one_sat_is_a_sat(start_priced):
    _, running, books = start_priced(one_word, Price(per_request=1_000), funds=10**9)
    books.set_budgets(running, total=1_000)
    assert post(running).status_code == 200
    error = post(running).json()["error"]
    assert "needs at least 1 sat, and 0 are left of this key's total budget of 1 sat." in error["message"]


@pytest.mark.parametrize("words", [0, 3])
def test_an_answer_that_fails_gives_the_budget_back(start_priced, words):
    """Before its first output, and in the middle of a stream."""

    async def breaks(job: Job) -> AsyncGenerator[bytes, None]:
        for _ in range(words):
            yield chunk({"content": " word"})
        raise Unavailable("gone")

    backend, running, books = start_priced(breaks, Price(per_request=5_000), funds=10**9)
    books.set_budgets(running, day=6_000, total=6_000)
    headers = {"authorization": f"Bearer {running.api_key}"}
    failed = httpx.post(
        running.url + "/v1/chat/completions", json={**BODY, "stream": True}, headers=headers, timeout=30
    )
    assert failed.status_code == (200 if words else 503)
    assert "no_nodes_available" in failed.text
    assert running.server.call(running.server.gateway.tasks.finish(20))
    assert books.budgets(running) == {"day": (0, 0), "total": (0, 0)}
    backend.reply = one_word
    assert post(running).status_code == 200
    assert books.budgets(running) == {"day": (5_000, 0), "total": (5_000, 0)}
    assert (books.held(), books.problems()) == (0, [])


def test_a_budget_that_is_only_on_hold_is_a_429(start_priced):
    go = asyncio.Event()

    async def waits(job: Job) -> AsyncGenerator[bytes, None]:
        yield chunk({"content": " word"})
        await go.wait()
        yield chunk(finish="stop")

    _, running, books = start_priced(waits, Price(per_request=5_000), funds=10**9)
    books.set_budgets(running, day=8_000)
    with httpx.Client() as client:
        headers = {"authorization": f"Bearer {running.api_key}"}
        body = {**BODY, "stream": True}
        with client.stream("POST", running.url + "/v1/chat/completions", json=body, headers=headers) as first:
            lines = first.iter_lines()
            next(lines)
            second = post(running)
            assert (second.status_code, second.json()["error"]["code"]) == (429, "balance_on_hold")
            assert "daily budget of 8 sats, but 5 sats are on hold" in second.json()["error"]["message"]
            assert int(second.headers["retry-after"]) >= 1

            async def release() -> None:
                go.set()

            running.server.call(release())
            assert "data: [DONE]" in list(lines)
    assert books.budgets(running) == {"day": (5_000, 0)}
    assert post(running).status_code == 402


def test_free_and_cheaper_offers_are_served_when_the_budget_is_spent(start_priced):
    free = ScriptedBackend(one_word, name="free", price=Price())
    _, running, books = start_priced(one_word, Price(per_request=1_000), funds=10**9, others=[free])
    books.set_budgets(running, total=0)
    assert post(running).json()["routing_info"]["backend"] == "free"
    assert (books.charges(), books.budgets(running)) == (0, {"total": (0, 0)})


def test_a_server_removes_usage_that_is_older_than_it_is_kept(start_server, database, database_url):
    row = {"account_id": "u", "credential_id": "k", "model": "m", "node_id": "n", "cost_msat": 0}
    counted = {"prompt_tokens": 1, "completion_tokens": 1, "ms": 1}
    now = time.time_ns() // 1000
    day = 86_400_000_000
    ages = {"old": 3, "young": 1}
    with database.transaction() as connection:
        rows = [{"id": name, "at": now - days * day, **row, **counted} for name, days in ages.items()]
        connection.execute(insert(usage_rows), rows)
    start_server(storage=StorageSettings(url=database_url), usage=UsageSettings(detail_days=2))
    deadline = time.monotonic() + 20
    left = set(ages)
    while left != {"young"}:
        assert time.monotonic() < deadline, left
        threading.Event().wait(0.02)
        with database.snapshot() as connection:
            left = set(connection.scalars(select(usage_rows.c.id)))
