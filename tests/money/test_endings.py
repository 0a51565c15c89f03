"""However an answer ends, it is settled once. Who leaves pays for what came; what node or gateway broke off is free."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable

import httpx
import pytest
from attrs import evolve

from lightphon_core import Job, Price, Unavailable
from lightphon_core.ledger.commands import Capture, ExtendHold
from lightphon_core.money import MAX_MSAT
from lightphon_core.serving.tab import SLICE_TOKENS
from lightphon_core.storage.engine import Database
from lightphon_core.testing import ScriptedBackend
from lightphon_core.testing.scripted import chunk, event, usage

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}
FUNDS = 100_000
BOTH = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for another thread to make `condition` true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


class Words:
    """A reply of `count` words, each worth a sat; then it waits for `go`, and ends well or in `failure`."""

    def __init__(self, count: int, failure: Exception | None = None) -> None:
        self.count = count
        self.failure = failure
        self.said = threading.Event()
        self.go = threading.Event()

    async def __call__(self, job: Job) -> AsyncGenerator[bytes, None]:
        for _ in range(self.count):
            yield chunk({"content": " word"})
        self.said.set()
        while not self.go.is_set():
            await asyncio.sleep(0.005)
        if self.failure is not None:
            raise self.failure
        yield chunk(finish="stop") + usage(1, self.count) + event("[DONE]")


def ask(running, *, stream: bool) -> socket.socket:
    """A request whose answer is read by hand."""
    content = json.dumps({**BODY, "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {running.api_key}\r\n"
    client = socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])), timeout=10)
    client.sendall(f"{head}connection: close\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
    return client


def rest_of(client: socket.socket) -> str:
    received = b""
    while data := client.recv(65536):
        received += data
    client.close()
    return received.decode()


def post(running, *, stream: bool = False) -> httpx.Response:
    headers = {"authorization": f"Bearer {running.api_key}"}
    return httpx.post(running.url + "/v1/chat/completions", json={**BODY, "stream": stream}, headers=headers)


def hold_back(running, which: Callable[[object], object]) -> tuple[threading.Event, threading.Event]:
    """Let the ledger write no batch with a command like that before the second event is set; the first tells of it."""
    ledger = running.server.gateway.ledger
    asked, go, write = threading.Event(), threading.Event(), ledger._write

    async def late(commands):
        if any(map(which, commands)):
            asked.set()
            while not go.is_set():
                await asyncio.sleep(0.005)
        return await write(commands)

    ledger._write = late
    return asked, go


def idle(running) -> bool:
    """No request is under way, and none has left a tab with the keeper."""
    return not running.server.gateway.tasks._running and not running.server.gateway.keeper.tabs


def settled(running) -> None:
    """Wait until no request is under way and the ledger has written all that it was asked for."""
    until(lambda: idle(running))
    running.server.call(running.server.gateway.ledger.close())


def test_a_client_that_left_is_not_served_by_the_next_node(start_priced):
    began = threading.Event()

    async def stubborn(job: Job) -> AsyncGenerator[bytes, None]:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Unavailable("Gone.") from None
        yield b""

    other = ScriptedBackend(Words(2), name="z_other", slots=1, price=Price(per_request=9_000))
    backend, running, books = start_priced(stubborn, Price(per_request=5), funds=FUNDS, others=[other])
    client = ask(running, stream=False)
    assert began.wait(10)
    client.close()
    settled(running)
    assert (len(backend.closed), other.jobs, books.held()) == (1, [], 0)


@BOTH
@pytest.mark.parametrize("received", [0, 1, 2, 7])
def test_a_client_that_leaves_pays_for_what_came(start_priced, stream, received):
    reply = Words(received)
    _, running, books = start_priced(reply, funds=FUNDS)
    client = ask(running, stream=stream)
    assert reply.said.wait(10)
    seen = b""
    while stream and seen.count(b" word") < received:
        seen += client.recv(65536)
    # The gateway has counted what a whole answer has by now.
    until(lambda: stream or not received or _metered(running) == received)
    client.close()
    settled(running)
    paid = received * 1_000
    assert (books.wallet(), books.held(), books.charges(), books.problems()) == (
        FUNDS - paid,
        0,
        int(received > 0),
        [],
    )
    assert books.all().get(f"earnings:{books.account_id('owner')}:lightning", 0) == paid * 9 // 10
    assert [row.completion_tokens for row in books.usage()] == [received] * (received > 0)


def _metered(running) -> int:
    """How many chunks of the one request under way were counted."""
    (task,) = running.server.gateway.tasks._running
    started = task.get_coro().cr_frame.f_locals["self"]._started
    return started.meter.chunks if started else 0


@BOTH
def test_a_server_that_stops_charges_for_nothing_it_broke_off(start_priced, stream, database_url):
    reply = Words(3)
    _, running, books = start_priced(reply, funds=FUNDS)
    client = ask(running, stream=stream)
    assert reply.said.wait(10)
    running.server.call(running.server.gateway.close(0))
    running.server.stop()
    answer = rest_of(client)
    assert "no_nodes_available" in answer
    assert "[DONE]" not in answer
    with Database(database_url) as database:
        after = evolve(books, database=database)
        assert (after.wallet(), after.held(), after.charges(), after.problems()) == (FUNDS, 0, 0, [])


@BOTH
@pytest.mark.parametrize("failure", [Unavailable("Gone."), RuntimeError("not in the port")], ids=["node", "plugin"])
def test_a_node_that_breaks_off_is_not_paid(start_priced, stream, failure):
    reply = Words(3, failure)
    reply.go.set()
    _, running, books = start_priced(reply, funds=FUNDS)
    assert "no_nodes_available" in post(running, stream=stream).text
    settled(running)
    assert (books.wallet(), books.held(), books.charges(), books.usage()) == (FUNDS, 0, 0, [])


@BOTH
def test_an_upstreams_error_in_its_stream_is_free(start_priced, stream):
    async def fails(job: Job) -> AsyncGenerator[bytes, None]:
        yield chunk({"content": " word"}) + event({"error": {"message": "CUDA error", "code": 500}})

    _, running, books = start_priced(fails, funds=FUNDS)
    answer = post(running, stream=stream).text
    assert "no_nodes_available" in answer
    assert "CUDA" not in answer
    settled(running)
    assert (books.wallet(), books.held(), books.charges()) == (FUNDS, 0, 0)


def test_a_client_that_leaves_while_its_hold_is_taken_leaves_none_behind(start_priced):
    backend, running, books = start_priced(Words(1), funds=FUNDS)
    settled(running)  # the keeper's first beat too; its next is ten seconds away
    with running.server.database.transaction():  # nobody else writes meanwhile
        client = ask(running, stream=True)
        until(lambda: _asked_for_a_hold(running))
        client.close()
        until(lambda: idle(running))
    settled(running)
    assert (backend.jobs, books.held(), books.wallet()) == ([], 0, FUNDS)


def test_what_waits_for_an_extension_when_the_client_leaves_is_not_billed(start_priced):
    reply = Words(SLICE_TOKENS + 50)
    _, running, books = start_priced(reply, funds=10**7)
    extending, go = hold_back(running, lambda command: isinstance(command, ExtendHold) and command.amount)
    client = ask(running, stream=True)
    assert extending.wait(10)
    client.close()
    until(lambda: running.server.gateway.tasks._running and _settling(running))
    go.set()
    settled(running)
    assert 10**7 - books.wallet() == SLICE_TOKENS * 1_000
    assert (books.held(), books.charges()) == (0, 1)


def _settling(running) -> bool:
    return any(isinstance(each.command, Capture) for each in running.server.gateway.ledger._waiting)


def _asked_for_a_hold(running) -> bool:
    pump = running.server.gateway.ledger._pump
    return not pump.done() and bool(running.server.gateway.tasks._running)


@BOTH
def test_an_answer_whose_hold_is_gone_does_not_look_complete(start_priced, stream):
    reply = Words(2)
    backend, running, books = start_priced(reply, funds=FUNDS)
    client = ask(running, stream=stream)
    assert reply.said.wait(10)
    (job,) = backend.jobs
    running.server.call(running.server.gateway.ledger.do(Capture(job.id, 500)))  # as another gateway's reaper does
    reply.go.set()
    answer = rest_of(client)
    assert '"code":"storage_unavailable"' in answer
    assert "[DONE]" not in answer
    assert job.id not in answer
    settled(running)
    assert (books.wallet(), books.held(), books.charges()) == (FUNDS - 500, 0, 1)


@BOTH
def test_a_time_out_does_not_reach_what_is_being_charged(start_priced, stream):
    reply = Words(2)
    reply.go.set()
    _, running, books = start_priced(reply, funds=FUNDS, limits={"total_timeout_s": 1.0})
    charging, go = hold_back(running, lambda command: isinstance(command, Capture))
    client = ask(running, stream=stream)
    assert charging.wait(10)
    threading.Timer(1.1, go.set).start()  # so that the time-out comes first
    assert '"cost_msat":2000' in rest_of(client)
    settled(running)
    assert (books.wallet(), books.charges()) == (FUNDS - 2_000, 1)


@BOTH
def test_a_server_that_stops_finishes_what_is_being_charged(start_priced, stream):
    reply = Words(2)
    reply.go.set()
    _, running, books = start_priced(reply, funds=FUNDS)
    gateway = running.server.gateway
    charging, go = hold_back(running, lambda command: isinstance(command, Capture))
    client = ask(running, stream=stream)
    assert charging.wait(10)

    async def stop_at_once() -> None:
        closing = asyncio.create_task(gateway.close(0))
        while not any(task.cancelling() for task in gateway.tasks._running):
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)  # and the cancellation has arrived
        go.set()
        await closing

    running.server.call(stop_at_once())
    assert '"cost_msat":2000' in rest_of(client)
    settled(running)
    assert (books.wallet(), books.charges()) == (FUNDS - 2_000, 1)


@BOTH
def test_a_fault_of_ours_is_an_error_and_free(start_priced, stream, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    reply = Words(2)
    reply.go.set()
    _, running, books = start_priced(reply, funds=FUNDS)
    monkeypatch.setattr("lightphon_core.serving.serve.relay", broken)
    monkeypatch.setattr("lightphon_core.serving.serve.judge", broken)
    answer = post(running, stream=stream)
    assert '"code":"internal_error"' in answer.text
    assert answer.status_code == 500 or stream
    assert "[DONE]" not in answer.text
    settled(running)
    assert (books.wallet(), books.held(), books.charges()) == (FUNDS, 0, 0)


class TestOffersThatCannotBe:
    DEAREST = Price(MAX_MSAT, MAX_MSAT, MAX_MSAT, MAX_MSAT)

    def test_one_that_costs_more_than_there_is_is_passed_over(self, start_priced):
        reply = Words(1)
        reply.go.set()
        absurd = ScriptedBackend(reply, name="a_absurd", price=self.DEAREST, slots=100)
        _, running, books = start_priced(reply, funds=FUNDS, others=[absurd])
        assert post(running).json()["routing_info"]["backend"] == "scripted"
        settled(running)
        assert (absurd.jobs, books.wallet(), books.held()) == ([], FUNDS - 1_000, 0)

    def test_alone_it_is_a_402(self, start_priced):
        _, running, books = start_priced(Words(1), self.DEAREST, funds=FUNDS)
        assert post(running).status_code == 402
        settled(running)
        assert books.held() == 0

    def test_one_whose_load_cannot_be_told_leaves_no_hold(self, start_priced):
        class Flaky(ScriptedBackend):
            def load(self):
                raise OSError("no longer there")

        reply = Words(1)
        reply.go.set()
        flaky = Flaky(reply, name="a_flaky", price=Price(per_request=9_000), slots=100)
        _, running, books = start_priced(reply, funds=FUNDS, others=[flaky])
        assert post(running).json()["routing_info"]["backend"] == "scripted"
        settled(running)
        assert (flaky.jobs, books.wallet(), books.held()) == ([], FUNDS - 1_000, 0)


def test_money_on_hold_counts_more_than_an_offer_that_is_too_dear(start_priced):
    reply = Words(0)
    dear = ScriptedBackend(Words(0), name="z_dear", price=Price(per_request=10**6), slots=8)
    _, running, books = start_priced(reply, Price(per_request=5_000), funds=8_000, others=[dear])
    client = ask(running, stream=True)
    assert reply.said.wait(10)
    dear._busy = {"z_dear/test-model": 7}  # so that it is asked last
    answer = post(running)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "balance_on_hold")
    reply.go.set()
    assert "[DONE]" in rest_of(client)
    settled(running)
    assert books.wallet() == 3_000


def test_an_extension_sets_aside_no_second_price_of_the_request(start_priced):
    reply = Words(600)
    price = Price(per_request=1_000_000, per_mtok_completion=10**9)
    _, running, books = start_priced(reply, price, funds=10_000_000)
    client = ask(running, stream=False)
    assert reply.said.wait(10)
    until(lambda: _metered(running) == 600)
    assert books.held() <= 1_000_000 + (600 + 512) * 1_000
    reply.go.set()
    assert '"cost_msat":1600000' in rest_of(client)
