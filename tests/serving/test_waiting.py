"""Requests wait for a slot where all are taken: in turns, within bounds, and not for long."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from lightphon_core import Authenticator, Job, Overloaded, Principal
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, event, usage
from lightphon_core.types import Scope


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for another thread to make `condition` true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


class Anyone(Authenticator):
    """A key is its account's name."""

    name = "anyone"

    async def authenticate(self, credentials):
        if credentials.bearer is None or not credentials.bearer.startswith("acc_"):
            return None
        return Principal(credentials.bearer, f"cred_{credentials.bearer}", frozenset({Scope.INFERENCE}))


class Turns:
    """A reply that says it was asked, and then waits for its turn to end: `end()` lets one answer end."""

    def __init__(self):
        self.asked: list[str] = []
        self._ends = threading.Semaphore(0)

    async def __call__(self, job: Job) -> AsyncGenerator[bytes, None]:
        word = json.loads(job.body)["messages"][0]["content"]
        self.asked.append(word)
        while not self._ends.acquire(blocking=False):
            await asyncio.sleep(0.002)
        yield chunk({"content": word}) + chunk(finish="stop") + usage(1, 1) + event("[DONE]")

    def end(self, answers: int = 1) -> None:
        self._ends.release(answers)


class Scene:
    """A server with one offer of one slot, and clients that ask from threads of their own."""

    def __init__(self, running, reply, backend, pool):
        self.running, self.reply, self.backend, self._pool = running, reply, backend, pool

    @property
    def waiting(self) -> int:
        return len(self.running.server.gateway.waiting)

    def post(self, word: str, *, account: str = "acc_a", stream: bool = False) -> httpx.Response:
        body = {"model": "auto", "messages": [{"role": "user", "content": word}], "stream": stream}
        headers = {"authorization": f"Bearer {account}"}
        return httpx.post(f"{self.running.url}/v1/chat/completions", json=body, headers=headers, timeout=20)

    def begin(self, word: str, **options):
        """Ask, and return once the request is served or waits."""
        waiting, asked = self.waiting, len(self.reply.asked)
        answer = self._pool.submit(self.post, word, **options)
        until(lambda: answer.done() or self.waiting > waiting or len(self.reply.asked) > asked)
        return answer


@pytest.fixture
def scene(start_server):
    """`scene(**limits)`"""
    replies = []
    with ThreadPoolExecutor(8) as pool:

        def start(*others, **limits):
            replies.append(Turns())
            backend = ScriptedBackend(replies[0], slots=1)
            running = start_server(plugin_of(Anyone(), backend, *others), limits=limits)
            return Scene(running, replies[0], backend, pool)

        yield start
        for reply in replies:
            reply.end(100)


def test_accounts_take_turns_for_the_slots(scene):
    one = scene()
    answers = [one.begin(word) for word in ("a0", "a1", "a2", "a3")]
    answers += [one.begin(word, account="acc_b") for word in ("b1", "b2")]
    assert (one.reply.asked, one.waiting) == (["a0"], 5)
    one.reply.end(6)
    assert [answer.result(10).status_code for answer in answers] == [200] * 6
    assert one.reply.asked == ["a0", "a1", "b1", "a2", "b2", "a3"]
    until(lambda: one.running.server.gateway.waiting._timer is None)  # nobody waits, so nobody looks
    metrics = one.running.server._app.state.metrics
    page = metrics.page(one.running.server.gateway.catalogue, holds=0, waiting=0, body_bytes=0, writes_lost=0)
    assert 'lightphon_queue_seconds_count{end="served"} 5' in page


def test_a_newcomer_does_not_overtake_those_who_wait(scene):
    """Also where the backend has freed a slot and nobody has looked yet."""
    one = scene()
    one.backend._busy["scripted/test-model"] = 1
    first = one.begin("first")

    async def free_and_ask() -> None:
        one.running.server.gateway.waiting._timer.cancel()
        one.backend._busy.clear()

    one.running.server.call(free_and_ask())
    second = one.begin("second", account="acc_b")
    until(lambda: one.reply.asked)
    assert (one.reply.asked, one.waiting) == (["first"], 1)
    one.reply.end(2)
    assert (first.result(10).status_code, second.result(10).status_code) == (200, 200)


@pytest.mark.parametrize(
    ("limits", "account"), [({"queue_length": 1}, "acc_b"), ({"queue_per_account": 1}, "acc_a")], ids=["all", "own"]
)
def test_a_full_queue_is_a_503_at_once(scene, limits, account):
    one = scene(queue_s=600, **limits)
    answers = [one.begin("served"), one.begin("waits")]
    refused = one.post("refused", account=account)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_nodes_available")
    assert int(refused.headers["retry-after"]) >= 1
    assert one.waiting == 1
    one.reply.end(2)
    assert [answer.result(10).status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("limits", [{"queue_s": 0.05}, {"queue_s": 0}, {"total_timeout_s": 0.05}])
def test_who_waited_long_enough_is_told_so(scene, limits):
    one = scene()
    served = one.begin("served")
    gateway = one.running.server.gateway
    gateway.limits = type(gateway.limits)(**limits)
    answer = one.post("waits")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_nodes_available")
    assert "busy" in answer.json()["error"]["message"]
    assert int(answer.headers["retry-after"]) >= 1
    assert one.waiting == 0
    one.reply.end()
    assert served.result(10).status_code == 200
    assert one.reply.asked == ["served"]


def test_a_stream_that_waits_is_kept_alive(scene):
    one = scene(keep_alive_s=0.02)
    served = one.begin("served")
    body = {"model": "auto", "messages": [{"role": "user", "content": "waits"}], "stream": True}
    headers = {"authorization": "Bearer acc_b"}
    url = f"{one.running.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=20) as reply:
        lines = reply.iter_lines()
        assert next(lines) == ": keep-alive"
        assert one.waiting == 1
        one.reply.end(2)
        text = "\n".join(lines)
    assert '"content":"waits"' in text
    assert text.rstrip().endswith("data: [DONE]")
    assert served.result(10).status_code == 200


def test_a_client_that_leaves_leaves_the_queue(scene):
    one = scene()
    served = one.begin("served")
    body = {"model": "auto", "messages": [{"role": "user", "content": "leaves"}]}
    with httpx.Client(timeout=0.2) as client, pytest.raises(httpx.ReadTimeout):
        client.post(f"{one.running.url}/v1/chat/completions", json=body, headers={"authorization": "Bearer acc_b"})
    until(lambda: one.waiting == 0)
    one.reply.end()
    assert served.result(10).status_code == 200
    until(lambda: not one.running.server.gateway.tasks._running)
    assert one.reply.asked == ["served"]


def test_a_slot_that_a_backend_frees_without_a_word_is_found(scene):
    one = scene()
    one.backend._busy["scripted/test-model"] = 1
    waits = one.begin("waits")
    assert one.waiting == 1
    one.backend._busy.clear()
    one.reply.end()
    assert waits.result(10).json()["choices"][0]["message"]["content"] == "waits"


def test_a_node_that_joins_serves_those_who_wait(scene):
    reply = Turns()
    fresh = ScriptedBackend(reply, name="fresh", slots=1)
    fresh.online = False
    one = scene(fresh)
    served, waits = one.begin("served"), one.begin("waits")
    assert one.waiting == 1
    fresh.online = True
    one.running.server._loop.call_soon_threadsafe(fresh.changed)
    until(lambda: reply.asked)
    reply.end()
    assert waits.result(10).json()["routing_info"]["backend"] == "fresh"
    one.reply.end()
    assert served.result(10).status_code == 200


def test_one_that_is_full_against_all_appearances_is_asked_again_when_it_says(scene):
    asked = []

    async def full_at_first(job: Job) -> AsyncGenerator[bytes, None]:
        asked.append(job)
        if len(asked) == 1:
            raise Overloaded("Full.", retry_after=0.05)
        yield chunk({"content": "ok"}) + chunk(finish="stop")

    one = scene()
    one.backend.reply = full_at_first
    answer = one.post("waits")
    assert answer.json()["choices"][0]["message"]["content"] == "ok"
    assert (len(asked), answer.json()["routing_info"]["attempts"]) == (2, 1)
    assert one.running.server.gateway.places.breakers._breakers == {}


def test_nobody_waits_for_what_is_full_for_longer(scene):
    async def full(job: Job) -> AsyncGenerator[bytes, None]:
        raise Overloaded("Full.", retry_after=30)
        yield b""

    one = scene()
    one.backend.reply = full
    for _ in range(2):
        answer = one.post("refused")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert len(one.backend.jobs) == 1


def test_two_of_one_moment_do_not_get_the_same_slot(scene):
    """The backend tells no load, and would take more than it has slots for."""
    one = scene()
    one.backend.load = dict
    answers = [one.begin("first"), one.begin("second")]
    assert one.reply.asked == ["first"]
    one.reply.end(2)
    assert [answer.result(10).status_code for answer in answers] == [200, 200]
    assert [answer.result().json()["routing_info"]["attempts"] for answer in answers] == [1, 1]
