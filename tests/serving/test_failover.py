"""Before the first output another offer takes over, whatever the first one does; what fails again and again is left
alone."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable

import httpx
import pytest

from lightphon_core import Job, Scorer, TimedOut, Unavailable
from lightphon_core.routing.breakers import FAILURES
from lightphon_core.settings import RoutingSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, event, says

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}
BOTH = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


class InOrder(Scorer):
    """Backends by their names, the last letter of the alphabet last."""

    name = "in_order"

    def score(self, offer, needs, stats):
        return 1 - (ord(offer.id[0]) - ord("a")) / 26


@pytest.fixture
def start(start_server):
    """`start(backends, **limits)`: they are asked in the order of their names."""

    def run(*backends, **limits):
        routing = RoutingSettings(weights={"in_order": 1000})
        return start_server(plugin_of(*backends, InOrder()), routing=routing, limits=limits)

    return run


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for another thread to make `condition` true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


def post(running, *, stream: bool = False, timeout_s: float = 20) -> httpx.Response:
    headers = {"authorization": f"Bearer {running.api_key}"}
    body = {**BODY, "stream": stream}
    return httpx.post(running.url + "/v1/chat/completions", json=body, headers=headers, timeout=timeout_s)


def served_by(running) -> tuple[str, int]:
    answer = post(running)
    assert answer.status_code == 200, answer.text
    info = answer.json()["routing_info"]
    return info["backend"], info["attempts"]


async def hangs(job: Job) -> AsyncGenerator[bytes, None]:
    yield chunk({"role": "assistant", "content": ""})
    await asyncio.Event().wait()


async def fails(job: Job) -> AsyncGenerator[bytes, None]:
    raise Unavailable("Gone.")
    yield b""


def taken(running) -> int:
    return sum(running.server.gateway.places.occupancy._under_way.values())


@BOTH
def test_an_offer_that_hangs_is_given_up_and_the_next_one_tried(start, stream):
    slow, quick = ScriptedBackend(hangs, name="a_slow"), ScriptedBackend(says("ok"), name="b_quick")
    running = start(slow, quick, first_output_timeout_s=0.1)
    answer = post(running, stream=stream).text
    assert '"attempts":2' in answer
    assert '"backend":"b_quick"' in answer
    assert len(slow.jobs) == len(slow.closed) == 1
    assert taken(running) == 0


def test_after_a_failure_the_offers_of_that_moment_are_ranked(start):
    """The second best left meanwhile, and another came."""
    leaves, comes = ScriptedBackend(says("never"), name="b_leaves"), ScriptedBackend(says("ok"), name="c_comes")
    comes.online = False

    async def fails_late(job: Job) -> AsyncGenerator[bytes, None]:
        leaves.online, comes.online = False, True
        leaves.changed()
        raise Unavailable("Gone.")
        yield b""

    running = start(ScriptedBackend(fails_late, name="a"), leaves, comes)
    assert served_by(running) == ("c_comes", 2)
    assert leaves.jobs == []


def test_only_when_the_last_is_too_slow_it_is_a_504(start):
    backends = [ScriptedBackend(hangs, name=f"{letter}_slow") for letter in "abc"]
    running = start(*backends, first_output_timeout_s=0.05, attempts=2)
    answer = post(running)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "inference_timeout")
    assert answer.headers["x-should-retry"] == "false"
    assert [len(each.jobs) for each in backends] == [1, 1, 0]
    assert [len(each.closed) for each in backends] == [1, 1, 0]


def test_what_a_backend_itself_calls_a_time_out_is_final(start):
    async def too_slow(job: Job) -> AsyncGenerator[bytes, None]:
        raise TimedOut("Slow.")
        yield b""

    first, other = ScriptedBackend(too_slow, name="a"), ScriptedBackend(says("ok"), name="b")
    assert post(start(first, other)).status_code == 504
    assert other.jobs == []


@BOTH
def test_late_frames_of_one_that_was_given_up_are_dropped(start, stream):
    late = threading.Event()

    async def stubborn(job: Job) -> AsyncGenerator[bytes, None]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            late.set()
        for _ in range(100):
            yield chunk({"content": "LATE"})
        yield chunk(finish="stop") + event("[DONE]")

    first = ScriptedBackend(stubborn, name="a")
    running = start(first, ScriptedBackend(says("ok"), name="b"), first_output_timeout_s=0.1)
    answer = post(running, stream=stream).text
    assert late.is_set()
    assert "LATE" not in answer
    assert '"ok"' in answer
    assert len(first.closed) == 1
    assert taken(running) == 0


@BOTH
def test_one_that_stops_in_the_middle_is_not_waited_for(start, stream):
    async def stops(job: Job) -> AsyncGenerator[bytes, None]:
        yield chunk({"role": "assistant", "content": "half"})
        await asyncio.Event().wait()

    backend = ScriptedBackend(stops, name="a")
    running = start(backend, silence_timeout_s=0.1)
    for _ in range(FAILURES):
        answer = post(running, stream=stream)
        assert "inference_timeout" in answer.text
        assert "did not go on" in answer.text
        assert "[DONE]" not in answer.text
        assert answer.status_code == (200 if stream else 504)
    until(lambda: taken(running) == 0)
    assert len(backend.closed) == FAILURES
    assert post(running).status_code == 503, "it is given a rest"


@BOTH
def test_a_backend_that_does_not_let_go_holds_nobody_but_its_own_slot(start, stream, monkeypatch):
    monkeypatch.setattr("lightphon_core.serving.work.END_S", 0.05)
    go = threading.Event()

    async def clings(job: Job) -> AsyncGenerator[bytes, None]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            while not go.is_set():
                await asyncio.sleep(0.005)

    clinging = ScriptedBackend(clings, name="a_clinging", slots=1)
    running = start(clinging, ScriptedBackend(says("ok"), name="b"), first_output_timeout_s=0.05)
    assert '"backend":"b"' in post(running, stream=stream).text
    assert (taken(running), clinging.closed) == (1, [])
    assert served_by(running) == ("b", 1)
    go.set()
    until(lambda: taken(running) == 0)
    assert len(clinging.closed) == 1


@BOTH
def test_one_that_clings_to_a_finished_answer_does_not_hold_it_back(start, stream, monkeypatch):
    monkeypatch.setattr("lightphon_core.serving.work.END_S", 0.05)
    go = threading.Event()

    async def clings(job: Job) -> AsyncGenerator[bytes, None]:
        try:
            async for data in says("ok")(job):
                yield data
        finally:
            while not go.is_set():
                await asyncio.sleep(0.005)

    running = start(ScriptedBackend(clings))
    answer = post(running, stream=stream)
    assert '"ok"' in answer.text
    assert not stream or answer.text.rstrip().endswith("[DONE]")
    go.set()
    until(lambda: taken(running) == 0)


def test_what_fails_again_and_again_is_left_alone_and_then_probed_once(start):
    begun, go = threading.Event(), threading.Event()

    async def slowly(job: Job) -> AsyncGenerator[bytes, None]:
        begun.set()
        while not go.is_set():
            await asyncio.sleep(0.005)
        async for data in says("well again")(job):
            yield data

    broken, healthy = ScriptedBackend(fails, name="a_broken"), ScriptedBackend(says("ok"), name="b_healthy")
    running = start(broken, healthy)
    breakers = running.server.gateway.places.breakers
    now = time.monotonic()
    breakers._monotonic = lambda: now
    assert [served_by(running) for _ in range(FAILURES)] == [("b_healthy", 2)] * FAILURES
    assert [served_by(running) for _ in range(3)] == [("b_healthy", 1)] * 3
    assert len(broken.jobs) == FAILURES
    now += 1.1
    assert served_by(running) == ("b_healthy", 2)  # the probe failed
    now += 1.1
    assert served_by(running) == ("b_healthy", 1)
    broken.reply = slowly
    now += 1.0
    answers = []
    probe = threading.Thread(target=lambda: answers.append(served_by(running)))
    probe.start()
    assert begun.wait(10)
    assert served_by(running) == ("b_healthy", 1)
    go.set()
    probe.join()
    assert answers == [("a_broken", 1)]
    assert served_by(running) == ("a_broken", 1)
    assert breakers._breakers == {}


def test_a_probe_whose_client_leaves_gives_its_place_back(start):
    broken = ScriptedBackend(fails, name="a_broken")
    running = start(broken, ScriptedBackend(says("ok"), name="b_healthy"))
    breakers = running.server.gateway.places.breakers
    now = time.monotonic()
    breakers._monotonic = lambda: now
    for _ in range(FAILURES):
        post(running)
    now += 1.1
    broken.reply = hangs
    with pytest.raises(httpx.ReadTimeout):
        post(running, timeout_s=0.3)
    until(lambda: broken.closed)
    until(lambda: taken(running) == 0)
    broken.reply = says("well again")
    assert served_by(running) == ("a_broken", 1)
