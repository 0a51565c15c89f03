"""What an answer costs, who is paid, and what happens when the wallet is short."""

import asyncio
import json
from collections.abc import AsyncGenerator

import httpx
import openai
import pytest

from lightphon_core import Job, Price, Unavailable
from lightphon_core.ledger.chart import Origin
from lightphon_core.testing import ScriptedBackend
from lightphon_core.testing.scripted import chunk, event, usage

HELLO = [{"role": "user", "content": "Hello!"}]
BODY = {"model": "auto", "messages": HELLO}
TOKEN = Price(per_mtok_completion=1_000_000_000)


def post(running, body=None, **options) -> httpx.Response:
    headers = {"authorization": f"Bearer {running.api_key}"}
    return httpx.post(running.url + "/v1/chat/completions", json=body or BODY, headers=headers, timeout=30, **options)


def words(count: int, *, claim: int | None = None):
    """A reply of `count` tokens of five bytes each; stops early at the job's own limit, as an engine does."""

    async def reply(job: Job) -> AsyncGenerator[bytes, None]:
        limit = min(count, json.loads(job.body)["max_tokens"])
        for _ in range(limit):
            yield chunk({"content": " word"})
        yield chunk(finish="stop" if limit == count else "length")
        yield usage(10, limit if claim is None else claim) + event("[DONE]")

    return reply


@pytest.mark.parametrize("stream", [True, False])
def test_the_user_pays_what_the_owner_and_the_house_get(start_priced, stream):
    _, running, books = start_priced(words(10), funds=100_000)
    client = running.openai()
    if stream:
        *_, last = client.chat.completions.create(model="auto", messages=HELLO, stream=True)
    else:
        last = client.chat.completions.create(model="auto", messages=HELLO)
    assert (last.usage.cost_msat, last.usage.cost, last.usage.cost_currency) == (10_000, "10", "sat")
    user, owner = books.account_id(), books.account_id("owner")
    assert books.all() == {
        "clearing:test": -100_000,
        f"wallet:{user}:lightning": 90_000,
        f"earnings:{owner}:lightning": 9_000,
        "house": 1_000,
    }
    assert (books.held(), books.charges(), books.problems()) == (0, 1, [])
    (row,) = books.usage()
    assert (row.cost_msat, row.completion_tokens, row.account_id, row.node_id) == (10_000, 10, user, "scripted-node")


def test_the_charge_is_committed_before_the_client_sees_its_cost(start_priced):
    _, running, books = start_priced(words(3), funds=100_000)
    for each in running.openai().chat.completions.create(model="auto", messages=HELLO, stream=True):
        if each.usage is not None:
            assert books.wallet() == 97_000


def test_free_offers_touch_no_ledger_row_but_count(start_priced):
    _, running, books = start_priced(words(3), Price())
    assert post(running).json()["usage"]["cost_msat"] == 0
    assert (books.all(), books.charges()) == ({}, 0)
    assert [row.completion_tokens for row in books.usage()] == [3]


def test_the_operators_prices(start_priced):
    from lightphon_core.settings import PriceSettings, PricingSettings

    backend, running, books = start_priced(words(3), None, funds=100_000)
    assert post(running).json()["usage"]["cost_msat"] == 0
    pricing = PricingSettings(per_request=7, models={"dear": PriceSettings(per_request=500)})
    running.server.gateway.pricing = pricing
    assert post(running).json()["usage"]["cost_msat"] == 7
    backend.price = Price(per_request=90)
    backend.changed()
    assert post(running).json()["usage"]["cost_msat"] == 90
    backend.models = [backend.models[0].__class__("dear")]
    backend.changed()
    assert post(running).json()["usage"]["cost_msat"] == 500
    assert books.problems() == []


def test_a_price_is_locked_when_the_attempt_starts(start_priced):
    backend, running, _ = start_priced(words(0), funds=100_000)

    async def raises_its_price(job: Job) -> AsyncGenerator[bytes, None]:
        yield chunk({"content": " word"})
        backend.price = Price(per_request=50_000)
        backend.changed()
        yield chunk(finish="stop") + usage(1, 1)

    backend.reply = raises_its_price
    assert post(running).json()["usage"]["cost_msat"] == 1_000


def test_money_is_spent_by_origin_and_earnings_inherit_it(start_priced):
    _, running, books = start_priced(words(10))
    for origin, msat in ((Origin.LIGHTNING, 50_000), (Origin.CARD, 4_000), (Origin.GRANTED, 3_000)):
        books.fund(msat, origin=origin)
    post(running)
    owner = books.account_id("owner")
    earned = {name.rpartition(":")[2]: amount for name, amount in books.all().items() if name.startswith("earnings:")}
    assert earned == {"granted": 2_700, "card": 3_600, "lightning": 2_700}
    assert books.all()["house"] == 1_000
    assert f"earnings:{owner}:card" in books.all()


def test_several_choices_multiply(start_priced):
    async def two(job: Job) -> AsyncGenerator[bytes, None]:
        for index in (0, 1):
            yield chunk({"content": " word"}, index=index) + chunk(finish="stop", index=index)
        yield usage(1, 1)

    _, running, books = start_priced(two, funds=100_000)
    assert post(running, {**BODY, "n": 2}).json()["usage"]["cost_msat"] == 1_000  # the claim can only lower it
    assert books.problems() == []


def test_an_answer_that_stops_at_once_is_paid_for(start_priced):
    async def nothing(job: Job) -> AsyncGenerator[bytes, None]:
        yield chunk({"role": "assistant", "content": ""}) + chunk(finish="stop") + usage(20, 1)

    _, running, books = start_priced(nothing, Price(per_mtok_prompt=1_000_000_000), funds=100_000)
    assert post(running, {**BODY, "stop": "x"}).json()["usage"]["cost_msat"] == 20_000
    assert books.charges() == 1


class TestShortWallets:
    def test_affordable_in_part_ends_with_length(self, start_priced):
        backend, running, books = start_priced(words(100), funds=30_000)
        answer = running.openai().chat.completions.create(model="auto", messages=HELLO)
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == json.loads(backend.jobs[0].body)["max_tokens"] == 30
        assert (books.wallet(), books.held(), books.problems()) == (0, 0, [])

    def test_a_node_that_ignores_the_clamp_is_cut_off(self, start_priced):
        async def endless(job: Job) -> AsyncGenerator[bytes, None]:
            while True:
                yield chunk({"content": " word"})
                await asyncio.sleep(0)

        backend, running, books = start_priced(
            endless, Price(per_mtok_completion=10**9, per_minute=60_000), funds=50_000
        )
        chunks = list(running.openai().chat.completions.create(model="auto", messages=HELLO, stream=True))
        assert chunks[-1].choices[0].finish_reason == "length"
        assert 0 < chunks[-1].usage.cost_msat <= 50_000
        assert books.wallet() == 50_000 - chunks[-1].usage.cost_msat
        assert (len(backend.closed), books.held(), books.problems()) == (1, 0, [])

    def test_not_affordable_at_all_names_the_shortfall(self, start_priced):
        backend, running, books = start_priced(words(1), Price(per_request=5_000), funds=3_500)
        with pytest.raises(openai.APIStatusError) as short:
            running.openai(max_retries=2).chat.completions.create(model="auto", messages=HELLO)
        assert (short.value.status_code, short.value.code) == (402, "insufficient_balance")
        assert "1.5 sats short" in short.value.message
        assert (backend.jobs, books.wallet(), books.held()) == ([], 3_500, 0)

    def test_only_on_hold_elsewhere_is_a_429(self, start_priced):
        go = asyncio.Event()

        async def waits(job: Job) -> AsyncGenerator[bytes, None]:
            yield chunk({"content": " word"})
            await go.wait()
            yield chunk(finish="stop")

        _, running, books = start_priced(waits, Price(per_request=5_000), funds=8_000)
        with httpx.Client() as client:
            headers = {"authorization": f"Bearer {running.api_key}"}
            body = {**BODY, "stream": True}
            with client.stream("POST", running.url + "/v1/chat/completions", json=body, headers=headers) as first:
                lines = first.iter_lines()
                next(lines)
                second = post(running)
                assert (second.status_code, second.json()["error"]["code"]) == (429, "balance_on_hold")
                assert int(second.headers["retry-after"]) >= 1

                async def release() -> None:
                    go.set()

                running.server.call(release())
                assert "data: [DONE]" in list(lines)
        assert (books.wallet(), books.held(), books.charges()) == (3_000, 0, 1)

    def test_an_offer_that_is_too_dear_is_passed_over(self, start_priced):
        cheap = ScriptedBackend(words(1), name="cheap", price=Price(per_request=10), slots=1)
        _, running, books = start_priced(words(1), Price(per_request=10**6), funds=1_000, others=[cheap])
        assert post(running).json()["routing_info"]["backend"] == "cheap"
        assert books.wallet() == 990

    def test_many_at_once_never_overspend(self, start_priced):
        _, running, books = start_priced(words(1), Price(per_request=1_000), funds=20_000)

        async def all_at_once() -> list[int]:
            headers = {"authorization": f"Bearer {running.api_key}"}
            limits = httpx.Limits(max_connections=60)
            async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=30, limits=limits) as client:
                replies = await asyncio.gather(*(client.post("/v1/chat/completions", json=BODY) for _ in range(60)))
            return [reply.status_code for reply in replies]

        statuses = asyncio.run(all_at_once())
        assert statuses.count(200) == 20
        assert set(statuses) <= {200, 402, 429, 503}
        assert (books.wallet(), books.held(), books.charges(), books.problems()) == (0, 0, 20, [])


def test_a_backend_that_cannot_even_begin_leaves_no_hold(start_priced):
    class Broken(ScriptedBackend):
        def serve(self, job):
            raise TypeError("not a generator")

    broken = Broken(words(1), name="a_broken", price=Price(per_request=9_000), slots=100)
    _, running, books = start_priced(words(2), funds=100_000, others=[broken])
    assert post(running).status_code == 200
    assert (broken.jobs, books.held(), running.server.gateway.keeper.tabs) == ([], 0, set())


class TestWhoIsPaid:
    def test_only_the_node_that_delivered(self, start_priced):
        async def dies(job: Job) -> AsyncGenerator[bytes, None]:
            yield chunk({"role": "assistant"})
            raise Unavailable("Gone.")

        broken = ScriptedBackend(dies, name="broken", price=Price(per_request=9_000), slots=100)
        _, running, books = start_priced(words(2), funds=100_000, others=[broken])
        for _ in range(5):
            assert post(running).json()["usage"]["cost_msat"] == 2_000
        assert broken.jobs
        assert (books.wallet(), books.held(), books.charges()) == (90_000, 0, 5)
        assert books.all()[f"earnings:{books.account_id('owner')}:lightning"] == 9_000

    def test_nobody_where_the_owner_has_left(self, start_priced, capfd):
        left = ScriptedBackend(words(2), name="left", price=Price(per_request=10), slots=100, owner="acc_nobody")
        _, running, books = start_priced(words(2), funds=100_000, others=[left])
        for _ in range(3):  # the next node is asked
            assert post(running, {**BODY, "route": {"sort": "price"}}).json()["routing_info"]["backend"] == "scripted"
        assert left.jobs == []
        assert "acc_nobody" in capfd.readouterr().err
        assert (books.wallet(), books.held(), books.problems()) == (94_000, 0, [])
        assert not any("acc_nobody" in name for name in books.all())

    @pytest.mark.parametrize("stream", [True, False])
    def test_nobody_where_the_node_failed(self, start_priced, stream):
        async def breaks_off(job: Job) -> AsyncGenerator[bytes, None]:
            for _ in range(5):
                yield chunk({"content": " word"})
            raise Unavailable("Gone.")

        _, running, books = start_priced(breaks_off, funds=100_000)
        post(running, {**BODY, "stream": stream})
        assert (books.wallet(), books.held(), books.charges(), books.usage()) == (100_000, 0, 0, [])

    def test_nobody_where_it_was_too_slow(self, start_priced):
        async def stalls(job: Job) -> AsyncGenerator[bytes, None]:
            yield chunk({"content": " word"})
            await asyncio.Event().wait()

        _, running, books = start_priced(stalls, funds=100_000, limits={"total_timeout_s": 0.3})
        assert post(running).status_code == 504
        assert (books.wallet(), books.held(), books.charges()) == (100_000, 0, 0)


def test_the_wallet_can_be_read_with_an_inference_key(start_priced):
    _, running, _ = start_priced(words(10), funds=100_000)
    post(running)
    headers = {"authorization": f"Bearer {running.api_key}"}
    wallet = httpx.get(running.url + "/api/wallet", headers=headers).json()
    assert (wallet["available_msat"], wallet["held_msat"]) == (90_000, 0)
    assert [(entry["kind"], entry["amount_msat"]) for entry in wallet["statement"]] == [
        ("charge", -10_000),
        ("deposit", 100_000),
    ]
    assert httpx.get(running.url + "/api/wallet").status_code == 401
