"""What happens in the moment between two steps of a request: a price that changes, a server that stops, a node that
breaks off."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable

import httpx
import pytest

from lightphon_core import Job
from lightphon_core.ledger.offer_prices import Priced
from lightphon_core.routing.breakers import FAILURES
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, says
from lightphon_core.types import Price

BOTH = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for another thread to make `condition` true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


def post(running, *, stream: bool = False, timeout_s: float = 10, **fields) -> httpx.Response:
    headers = {"authorization": f"Bearer {running.api_key}"}
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}], "stream": stream, **fields}
    return httpx.post(running.url + "/v1/chat/completions", json=body, headers=headers, timeout=timeout_s)


@pytest.mark.parametrize("asks", [{"model": "auto:free"}, {"route": {"max_price": 0}}], ids=["free", "max_price"])
def test_a_price_that_rises_after_the_choice_is_not_charged(start_server, asks):
    """The wallet is empty: what costs nothing is served all the same."""
    backend = ScriptedBackend(says("ok"), owner="acc_owner")
    running = start_server(plugin_of(backend))
    gateway = running.server.gateway
    choose = gateway.waiting.place

    async def choose_and_reprice(*args, **options):
        place = await choose(*args, **options)
        gateway.agreed._changed({Priced("acc_owner", "scripted-node", "test-model"): Price(per_request=5)})
        return place

    gateway.waiting.place = choose_and_reprice
    answer = post(running, **asks)
    assert answer.status_code == 200, answer.text
    assert answer.json()["usage"]["cost_msat"] == 0
    assert post(running, **asks).status_code != 200  # now nothing on offer is free


def test_nothing_that_costs_anything_satisfies_a_price_of_nothing(start_server):
    """Not even where only the prompt is charged, and this one is shorter than the estimate can tell."""
    backend = ScriptedBackend(says("ok"), price=Price(per_mtok_prompt=1_000_000))
    running = start_server(plugin_of(backend))
    answer = post(running, route={"max_price": 0})
    assert answer.json()["error"]["code"] == "model_not_available", answer.text


def test_a_whole_answer_that_was_charged_is_sent_though_the_server_stops(start_server, monkeypatch):
    """Its node lets go of the job late, so that the journey has not ended."""
    monkeypatch.setattr("lightphon_core.serving.work.END_S", 20)
    go, stopped = threading.Event(), threading.Event()

    async def clings(job: Job) -> AsyncGenerator[bytes, None]:
        try:
            async for data in says("ok")(job):
                yield data
        finally:
            while not go.is_set():
                try:
                    await asyncio.sleep(0.005)
                except asyncio.CancelledError:
                    stopped.set()  # by the journey, which has charged for the answer

    running = start_server(plugin_of(ScriptedBackend(clings)))
    gateway = running.server.gateway
    answers = []
    asking = threading.Thread(target=lambda: answers.append(post(running)))
    asking.start()
    assert stopped.wait(10)
    running.server.call(gateway.tasks.stop())
    go.set()
    asking.join()
    assert (answers[0].status_code, '"ok"' in answers[0].text) == (200, True)


@BOTH
def test_a_request_that_is_cancelled_before_its_first_step_is_told(start_server, stream):
    running = start_server(plugin_of(ScriptedBackend(says("never"))))
    gateway = running.server.gateway
    spawn = gateway.tasks.spawn

    def spawn_and_stop(*args, **options):
        task = spawn(*args, **options)
        task.cancel()
        return task

    gateway.tasks.spawn = spawn_and_stop
    answer = post(running, stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_nodes_available")


def test_a_node_that_times_out_within_its_answers_is_left_alone(start_server):
    async def times_out(job: Job) -> AsyncGenerator[bytes, None]:
        yield chunk({"content": "begun"})
        raise TimeoutError

    running = start_server(plugin_of(ScriptedBackend(times_out)))
    answers = [post(running) for _ in range(FAILURES)]
    assert [answer.status_code for answer in answers] == [504] * FAILURES
    assert post(running).status_code == 503
    assert len(running.server.gateway.places.breakers._breakers) == 1


def test_a_request_for_two_choices_gets_the_two_slots_as_they_come_free(start_server, monkeypatch):
    """Whatever the age of its ranking; meanwhile nobody else is to take them."""
    monkeypatch.setattr("lightphon_core.serving.choosing.STALE_S", 600.0)

    async def one_of_each(job: Job) -> AsyncGenerator[bytes, None]:
        yield b"".join(chunk({"content": "ok"}, index=index) + chunk(finish="stop", index=index) for index in range(2))

    backend = ScriptedBackend(one_of_each, slots=2)
    running = start_server(plugin_of(backend), limits={"queue_s": 2})
    backend._busy["scripted/test-model"] = 1
    answers = []
    asking = threading.Thread(target=lambda: answers.append(post(running, n=2)))
    asking.start()
    until(lambda: len(running.server.gateway.waiting) or answers)
    backend._busy.clear()
    asking.join()
    assert answers[0].status_code == 200, answers[0].text
