"""Limits as a client meets them: the official SDK and plain HTTP against a live server. The clock stands still."""

import asyncio
import json
import threading
import time
from collections import Counter
from types import SimpleNamespace

import httpx
import openai
import pytest
from sqlalchemy import func, select

from lightphon_core import Authenticator, Price, Principal
from lightphon_core.accounts.people import get_account
from lightphon_core.ledger.adjustment import credit
from lightphon_core.openai.ratelimits import UNITS
from lightphon_core.openai.request import parse
from lightphon_core.serving.admission import admit
from lightphon_core.serving.serve import begin
from lightphon_core.settings import StorageSettings
from lightphon_core.storage.schema import places
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, event, says, usage
from lightphon_core.types import RateLimits, Scope

SECOND = 1_000_000
HELLO = [{"role": "user", "content": "Hello!"}]
BODY = {"model": "auto", "messages": HELLO}


class Clock:
    """The limiter's."""

    def __init__(self):
        self.time = 1_800_000_000 * SECOND

    def __call__(self, connection):
        return self.time

    def after(self, seconds):
        self.time += round(seconds * SECOND)


class Keys(Authenticator):
    """Keys of one account, by name."""

    name = "keys"

    def __init__(self, **keys):
        self.keys = keys

    async def authenticate(self, credentials):
        terms = self.keys.get(credentials.bearer)
        if terms is None:
            return None
        return Principal("acc_test", f"cred_{credentials.bearer}", frozenset({Scope.INFERENCE}), **terms)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def start(start_server, clock):
    def start(*objects, limits=None, **settings):
        running = start_server(plugin_of(*objects), limits=limits, **settings)
        running.server.gateway.limiter.clock = clock
        return running

    return start


def ask(running, body=None, *, key=None):
    headers = {"authorization": f"Bearer {key or running.api_key}"}
    return httpx.post(f"{running.url}/v1/chat/completions", json=body or BODY, headers=headers, timeout=30)


def shown(answer):
    """Limit, remaining and reset, for each unit that the headers tell of."""
    headers = answer.headers
    parts = ("limit", "remaining", "reset")
    told = {unit: [headers.get(f"x-ratelimit-{part}-{unit}") for part in parts] for unit in UNITS}
    return {unit: tuple(values) for unit, values in told.items() if any(values)}


def settled(running):
    """Wait until all that was asked of the server is over, and written down."""

    async def wait():
        assert await running.server.gateway.tasks.finish(20)
        await running.server.gateway.limiter.close()

    running.server.call(wait())


def taken(running):
    with running.server.database.snapshot() as connection:
        return connection.execute(select(func.count()).select_from(places)).scalar_one()


class TestHeaders:
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_success_tells_what_is_left(self, start, clock, stream):
        running = start(
            ScriptedBackend(says("Hel", "lo")), limits={"requests_per_minute": 10, "tokens_per_minute": 1000}
        )
        completions = running.openai().chat.completions.with_raw_response
        for _ in range(2):
            raw = completions.create(model="auto", messages=HELLO, stream=stream)
            for _ in raw.parse() if stream else ():
                pass
            settled(running)
        # Two requests; the first was three tokens of prompt and two of answer, the second is a guess as yet.
        assert shown(raw) == {"requests": ("10", "8", "12s"), "tokens": ("1000", "994", "360ms")}
        clock.after(11)
        assert shown(ask(running)) == {"requests": ("10", "8", "7s"), "tokens": ("1000", "999", "60ms")}

    def test_every_answer_to_a_request_that_was_counted_tells_what_is_left(self, start):
        backend = ScriptedBackend(says("Hi"), price=Price(per_request=1_000))
        running = start(backend, limits={"requests_per_minute": 10})
        wrong = {**BODY, "temperature": "hot"}
        without = {**BODY, "model": "nobody/has-it"}
        assert [shown(ask(running, key="nonsense")), shown(ask(running, wrong))] == [{}, {}]  # not counted
        told = []
        for body in (BODY, without, {**BODY, "route": {"providers": "nobody"}}, {**BODY, "stream": True}):
            answer = ask(running, body)
            told.append((answer.status_code, shown(answer)["requests"][1]))
        backend.online = False
        backend.changed()
        answer = ask(running)
        told.append((answer.status_code, shown(answer)["requests"][1]))
        running.server.gateway.router.rank = None  # a fault of ours
        answer = ask(running)
        told.append((answer.status_code, shown(answer)["requests"][1]))
        assert told == [(402, "9"), (404, "8"), (404, "7"), (402, "6"), (503, "5"), (500, "4")]

    def test_only_limits_that_exist_are_told(self, start):
        running = start(ScriptedBackend(says("Hi")), limits={"requests_per_minute": 60, "concurrent_requests": 3})
        assert shown(ask(running)) == {"requests": ("60", "59", "1s")}

    def test_without_limits_nothing_is_counted(self, start, monkeypatch):
        running = start(ScriptedBackend(says("Hi")))
        running.server.gateway.limiter = None  # whatever is asked of it fails
        answer = ask(running)
        assert (answer.status_code, shown(answer)) == (200, {})


class TestRefusals:
    def test_a_refusal_says_which_limit_and_costs_nothing(self, start, clock):
        backend = ScriptedBackend(says("Hi"))
        running = start(backend, limits={"requests_per_minute": 2, "tokens_per_minute": 600})
        for _ in range(2):
            assert ask(running).status_code == 200
        settled(running)
        for _ in range(3):
            refused = ask(running)
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "30"
            assert shown(refused) == {"requests": ("2", "0", "1m0s"), "tokens": ("600", "592", "800ms")}
        assert refused.json()["error"] == {
            "message": "The limit of 2 requests a minute for this account is reached. Try again in 30 s.",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
        }
        assert len(backend.jobs) == 2
        clock.after(29.5)
        assert ask(running).headers["retry-after"] == "1"
        clock.after(0.5)
        assert ask(running).status_code == 200

    def test_the_official_client_waits_as_long_as_it_is_told(self, start, clock, monkeypatch):
        running = start(ScriptedBackend(says("Hi")), limits={"requests_per_minute": 5})
        slept = []

        def sleep(seconds):
            slept.append(seconds)
            clock.after(seconds)

        monkeypatch.setattr("openai._base_client.time", SimpleNamespace(**vars(time) | {"sleep": sleep}))
        for _ in range(5):
            running.openai().chat.completions.create(**BODY)
        with pytest.raises(openai.RateLimitError) as refused:
            running.openai().chat.completions.create(**BODY)
        assert (refused.value.code, refused.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "12")
        assert running.openai(max_retries=1).chat.completions.create(**BODY).choices[0].message.content == "Hi"
        assert slept == [12]

    def test_an_answers_tokens_are_counted_when_it_ends_and_a_debt_is_waited_for(self, start, clock):
        running = start(ScriptedBackend(says(*["word "] * 20)), limits={"tokens_per_minute": 10})
        assert shown(ask(running)) == {"tokens": ("10", "9", "6s")}
        settled(running)
        refused = ask(running)  # 23 tokens are owed, of 10 a minute, and one more is asked for
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "84")
        assert shown(refused) == {"tokens": ("10", "0", "2m18s")}
        assert "10 tokens a minute for this account" in refused.json()["error"]["message"]
        clock.after(84)
        assert ask(running).status_code == 200

    def test_what_fails_keeps_its_request_and_gives_back_the_rest(self, start):
        backend = ScriptedBackend(says("Hi"))
        running = start(backend, limits={"requests_per_minute": 60, "tokens_per_minute": 100, "concurrent_requests": 1})
        long = [{"role": "user", "content": "x" * 1600}]  # an estimate of 100 tokens
        for _ in range(3):
            assert ask(running, {"model": "nobody/has-it", "messages": long}).status_code == 404
        settled(running)

        async def broken(job):
            raise RuntimeError("no answer")
            yield b""

        backend.reply = broken
        for _ in range(3):
            assert ask(running, {"model": "auto", "messages": long}).status_code == 503
        settled(running)
        running.server.gateway.places.breakers._breakers.clear()  # or it would be given a rest
        backend.reply = says("Hi")
        assert shown(ask(running)) == {"requests": ("60", "53", "7s"), "tokens": ("100", "99", "600ms")}

    def test_a_key_and_its_account(self, start):
        keys = Keys(
            tight={"limits": RateLimits(requests_per_minute=2)},
            wide={"limits": RateLimits(requests_per_minute=100, tokens_per_minute=60)},
            plain={},
        )
        running = start(ScriptedBackend(says("Hi")), keys, limits={"requests_per_minute": 5})
        assert shown(ask(running, key="tight")) == {"requests": ("2", "1", "30s")}
        assert shown(ask(running, key="wide")) == {"requests": ("5", "3", "24s"), "tokens": ("60", "59", "1s")}
        assert ask(running, key="tight").status_code == 200
        refused = ask(running, key="tight")
        assert "2 requests a minute for this key" in refused.json()["error"]["message"]
        assert shown(refused) == {"requests": ("2", "0", "1m0s")}
        assert shown(ask(running, key="plain")) == {"requests": ("5", "1", "48s")}  # the refused one was not counted
        assert ask(running, key="wide").status_code == 200
        refused = ask(running, key="wide")
        assert "5 requests a minute for this account" in refused.json()["error"]["message"]
        assert ask(running).status_code == 200  # another account's


class TestAtOnce:
    async def test_exactly_as_many_as_there_is_room_for(self, start, database_url):
        go = threading.Event()

        async def reply(job):
            yield chunk({"content": "first"})
            assert await asyncio.to_thread(go.wait, 20)
            yield chunk(finish="stop") + usage(1, 1) + event("[DONE]")

        backend = ScriptedBackend(reply, slots=20)
        running = await asyncio.to_thread(
            start, backend, limits={"concurrent_requests": 3}, storage=StorageSettings(url=database_url)
        )
        headers = {"authorization": f"Bearer {running.api_key}"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=30) as client:
            asked = {
                asyncio.create_task(client.post("/v1/chat/completions", json={**BODY, "stream": bool(number % 2)}))
                for number in range(9)
            }
            done = set()
            while len(done) < 6:
                some, asked = await asyncio.wait(asked, timeout=20, return_when=asyncio.FIRST_COMPLETED)
                assert some
                done |= some
            refused = [each.result() for each in done]
            assert {each.status_code for each in refused} == {429}
            assert {each.headers["retry-after"] for each in refused} == {"2"}
            assert "3 requests at once for this account" in refused[0].json()["error"]["message"]
            assert taken(running) == 3
            go.set()
            answers = await asyncio.gather(*asked)
        assert Counter(each.status_code for each in answers) == {200: 3}
        assert len(backend.jobs) == 3
        await asyncio.to_thread(settled, running)
        assert taken(running) == 0

    @pytest.mark.parametrize("stream", [False, True])
    def test_one_after_the_other_is_never_refused(self, start, stream):
        running = start(ScriptedBackend(says("Hi")), limits={"concurrent_requests": 1})
        headers = {"authorization": f"Bearer {running.api_key}"}
        with httpx.Client(headers=headers, timeout=30) as client:
            for _ in range(15):
                body = {**BODY, "stream": stream}
                with client.stream("POST", f"{running.url}/v1/chat/completions", json=body) as answer:
                    assert answer.status_code == 200
                    text = "".join(part for part in answer.iter_text())
            assert json.loads(text)["choices"] if not stream else "[DONE]" in text

    def test_an_answer_that_is_cut_off_takes_no_place_while_its_node_tidies_up(self, start):
        tidied = threading.Event()

        async def endless(job):
            try:
                while True:
                    yield chunk({"content": " word"})
                    await asyncio.sleep(0)
            finally:
                assert await asyncio.to_thread(tidied.wait, 20)

        backend = ScriptedBackend(endless, price=Price(per_mtok_completion=10**9, per_minute=60_000))
        running = start(backend, limits={"concurrent_requests": 1})
        with running.server.database.snapshot() as connection:
            account = get_account(connection, "test").id
        running.server.call(running.server.gateway.ledger.do(credit(account, 50_000, "test")))
        headers = {"authorization": f"Bearer {running.api_key}"}
        where = ("POST", f"{running.url}/v1/chat/completions")
        with httpx.stream(*where, json={**BODY, "stream": True}, headers=headers, timeout=30) as answer:
            stream = answer.iter_lines()  # to forget it would be to hang up
            lines = [line for line in iter(stream.__next__, "data: [DONE]") if line]
            assert '"finish_reason":"length"' in lines[-1]
            next_one = ask(running).status_code  # there is room for it, and no money
            tidied.set()
        assert next_one == 402

    def test_who_hangs_up_leaves_the_place_and_pays_for_what_came(self, start):
        ended = threading.Event()

        async def endless(job):
            try:
                yield chunk({"content": "first"})
                await asyncio.Event().wait()
            finally:
                ended.set()

        backend = ScriptedBackend(endless)
        running = start(backend, limits={"concurrent_requests": 1, "tokens_per_minute": 60})
        stream = running.openai().chat.completions.create(**BODY, stream=True)
        next(iter(stream))
        assert (taken(running), ask(running).status_code) == (1, 429)
        stream.close()
        assert ended.wait(20)
        settled(running)
        assert taken(running) == 0
        backend.reply = says("Hi")
        answer = ask(running)
        assert answer.status_code == 200
        # A token and the prompt by its bytes came; then one for this request. The one that was refused is not there.
        assert shown(answer) == {"tokens": ("60", "57", "3s")}

    def test_a_server_that_stops_leaves_no_place_behind(self, start):
        async def endless(job):
            yield chunk({"content": "first"})
            await asyncio.Event().wait()

        running = start(ScriptedBackend(endless), limits={"concurrent_requests": 1})
        stream = running.openai().chat.completions.create(**BODY, stream=True)
        next(iter(stream))
        assert taken(running) == 1
        running.server.call(running.server.gateway.close(0))
        settled(running)
        assert taken(running) == 0
        assert ask(running).json()["error"]["code"] == "no_nodes_available"
        settled(running)
        assert taken(running) == 0

    def test_one_that_is_abandoned_before_its_first_step(self, start, caplog):
        running = start(ScriptedBackend(says("Hi")), limits={"concurrent_requests": 1})
        gateway = running.server.gateway
        principal = Principal("acc_test", "cred_test", frozenset({Scope.INFERENCE}))

        async def give_up():
            asked = parse("/v1/chat/completions", json.dumps(BODY).encode(), max_output_tokens=9)
            admission = await admit(gateway.limiter, principal, gateway.account_limits, 1)
            exchange = begin(gateway, asked, principal, "req_test", admission)
            exchange.abandon()
            return await exchange.whole()

        assert running.server.call(give_up()) is None
        settled(running)
        assert taken(running) == 0
        lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        assert [line["outcome"] for line in lines if line.get("request_id") == "req_test"] == ["client gone"]


class TestModels:
    @pytest.fixture
    def running(self, start):
        keys = Keys(
            some={"models": frozenset({"b/two", "c", "gone"})},
            none={"models": frozenset()},
            many={"models": frozenset(f"m{number}" for number in range(9))},
        )
        self.backend = ScriptedBackend(says("Hi"), models=["a", "b/two", "c"])
        return start(self.backend, keys)

    def test_a_key_sees_its_own_models(self, running):
        client = running.openai(api_key="some")
        assert [model.id for model in client.models.list()] == ["auto", "b/two", "c"]
        assert client.models.retrieve("b/two").id == "b/two"
        assert client.models.retrieve("auto").id == "auto"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("a")
        assert [model.id for model in running.openai(api_key="none").models.list()] == ["auto"]
        assert len(running.openai().models.list().data) == 4

    def test_a_key_gets_answers_of_its_own_models(self, running):
        create = running.openai(api_key="some").chat.completions.create
        assert create(model="c", messages=HELLO).model == "c"
        assert {create(model="auto", messages=HELLO).model for _ in range(4)} <= {"b/two", "c"}
        for name in ("a", "nobody/has-it"):  # whether there is one is not told
            with pytest.raises(openai.PermissionDeniedError) as refused:
                create(model=name, messages=HELLO)
            assert (refused.value.code, refused.value.param) == ("model_not_allowed", "model")
            assert "b/two, c, gone" in refused.value.message
        assert {job.offer_id for job in self.backend.jobs} <= {"scripted/b/two", "scripted/c"}

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v1/completions", {"prompt": "Hello"}),
            ("/v1/fim/completions", {"prompt": "Hello"}),
            ("/v1/embeddings", {"input": "Hello"}),
            ("/v1/chat/completions", {"messages": HELLO, "models": ["nobody/has-it"]}),
            ("/v1/chat/completions", {"messages": HELLO, "route": {"models": ["a"]}, "stream": True}),
        ],
    )
    def test_no_endpoint_lets_a_key_use_another(self, running, path, body):
        headers = {"authorization": "Bearer some"}
        answer = httpx.post(running.url + path, json={**body, "model": "a"}, headers=headers, timeout=30)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "model_not_allowed")
        assert self.backend.jobs == []

    def test_nothing_it_may_use_is_online(self, running):
        for key, words in (("none", "no model"), ("many", "m0, m1, m2, m3, m4 and 4 more")):
            refused = ask(running, key=key)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_nodes_available")
            assert words in refused.json()["error"]["message"]

    def test_head(self, running):
        headers = {"authorization": f"Bearer {running.api_key}"}
        for path in ("/v1/models", "/models/b/two"):
            whole, head = (httpx.request(method, running.url + path, headers=headers) for method in ("GET", "HEAD"))
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == str(len(whole.content))
        assert httpx.head(f"{running.url}/v1/models").status_code == 401
