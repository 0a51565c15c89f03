"""The server's side of the node link, against nodes that behave as a test needs it."""

import asyncio
import weakref
from types import SimpleNamespace

import pytest
from lightphon_backend_gguf.hub.answer import Answer
from lightphon_backend_gguf.hub.backend import NodeBackend
from lightphon_backend_gguf.protocol import codec, frames, limits
from lightphon_backend_gguf.protocol.closing import CloseCode
from lightphon_backend_gguf.protocol.frames import Frame, FrameType
from lightphon_backend_gguf.protocol.hardware import Gpu, Hardware, Machine
from lightphon_backend_gguf.protocol.messages import (
    Cancel,
    Done,
    Drain,
    Failed,
    Hello,
    Load,
    ModelFacts,
    OfferLoad,
    OfferMessage,
    Offers,
    Ping,
    Pong,
    Welcome,
)

from lightphon_core import (
    Capability,
    Job,
    LightPhonError,
    Model,
    Overloaded,
    Principal,
    Refused,
    Scope,
    TimedOut,
    Unavailable,
)


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


async def say_output(node, job, data):
    await node.socket.send(frames.encode(Frame(FrameType.OUTPUT, job, data)))


async def beat(node):
    while True:
        await node.say(Load())
        await asyncio.sleep(0.03)


async def next_job(node):
    while (frame := await node.hear(Frame)).type is not FrameType.JOB:
        pass
    return frame.job


async def test_what_a_node_offers_is_in_the_catalogue_until_it_leaves(hub, dial):
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        (offer,) = hub.backend.offers()
        assert offer.model == Model(id="maker/m", capabilities=frozenset({Capability.CHAT}))
        assert (offer.slots, offer.node.name, offer.node.owner) == (4, "box", "account-one")
        assert [each.credential for each in hub.backend.nodes()] == ["key-one"]
        assert offer.id == f"{offer.node.id}/m"
        assert hub.changes == 1
        await node.say(Load((OfferLoad("m", busy=3, queued=2),)))
        await until(lambda: hub.backend.load()[offer.id].queued == 2)
        assert hub.backend.load()[offer.id].busy == 3
        await node.say(Offers(()))
        await until(lambda: hub.changes == 2)
        assert not hub.backend.offers()
    async with dial(hub.url):
        await until(hub.backend.offers)
        assert hub.backend.offers()[0].id == offer.id, "the same node has the same id when it comes back"
    await until(lambda: not hub.backend.offers())


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, CloseCode.BAD_TOKEN),
        ("wrong", CloseCode.BAD_TOKEN),
        ("inference", CloseCode.NOT_A_NODE_TOKEN),
        ("no-database", CloseCode.TRY_LATER),
    ],
)
async def test_a_token_that_does_not_hold_is_told_by_a_close_code(hub, dial, token, code):
    hub.tokens["Bearer inference"] = Principal("a", "k", frozenset({Scope.INFERENCE}))
    hub.tokens["Bearer no-database"] = LightPhonError("The database does not answer.")
    async with dial(hub.url, token, join=False) as node:
        assert await node.close_code() == code


async def test_a_node_without_the_sub_protocol_is_turned_away(hub, dial):
    async with dial(hub.url, join=False, subprotocol=None) as node:
        assert await node.close_code() == CloseCode.UNSUPPORTED_VERSION


async def test_of_several_versions_one_that_both_speak_is_chosen(hub, dial):
    async with dial(hub.url, subprotocol=["lightphon.node.v9", "lightphon.node.v1"]) as node:
        assert node.socket.subprotocol == "lightphon.node.v1"
        await until(hub.backend.offers)


async def test_hello_must_come_in_time(start_hub, dial):
    hub = await start_hub(hello_timeout_s=0.1)
    async with dial(hub.url, join=False) as node:
        assert await node.close_code() == CloseCode.HELLO_TOO_LATE


@pytest.mark.parametrize(
    "message",
    [
        "not json",
        codec.encode(Welcome(node_id="n", heartbeat_s=1)),
        codec.encode(Done(1)),
        b"\x03" + (1).to_bytes(8, "big") + b"output of a job that never was",
        bytes(9 + limits.FRAGMENT_BYTES + 1),
    ],
)
@pytest.mark.parametrize("join", [True, False])
async def test_a_broken_rule_ends_the_connection(hub, dial, message, join):
    async with dial(hub.url, join=join) as node:
        await node.socket.send(message)
        assert await node.close_code() == CloseCode.PROTOCOL_VIOLATION
    await until(lambda: not hub.backend.offers())


async def test_a_silent_node_leaves_the_catalogue_and_its_jobs_fail(start_hub, dial):
    hub = await start_hub(heartbeat_s=0.05)
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(hub.answer(hub.job(do="nothing")), 2)
        assert not hub.backend.offers()
        assert await node.close_code() == CloseCode.SILENT


async def test_a_node_that_only_sends_load_stays(start_hub, dial):
    hub = await start_hub(heartbeat_s=0.1)
    async with dial(hub.url) as node:
        for _ in range(8):
            await node.hear(Ping)
            await node.say(Load())
        assert hub.backend.offers()


async def test_a_revoked_token_ends_the_connection(start_hub, dial):
    hub = await start_hub(recheck_s=0.05)
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        known = hub.tokens["Bearer one"]
        hub.tokens["Bearer one"] = LightPhonError("The database does not answer.")
        checks = hub.checks
        await until(lambda: hub.checks >= checks + 2)
        assert hub.backend.offers(), "a database that is away revokes nothing"
        hub.tokens["Bearer one"] = known
        await until(lambda: hub.checks >= checks + 4)
        assert hub.backend.offers()
        del hub.tokens["Bearer one"]
        assert await node.close_code() == CloseCode.BAD_TOKEN
    assert not hub.backend.offers()


async def test_a_newer_connection_of_a_node_replaces_the_older(hub, dial):
    async with dial(hub.url) as old:
        await until(hub.backend.offers)
        lost = asyncio.create_task(hub.answer(hub.job(do="nothing")))
        await next_job(old)
        async with dial(hub.url) as new:
            assert await old.close_code() == CloseCode.REPLACED
            with pytest.raises(Unavailable):
                await lost
            await until(hub.backend.offers)
            async with dial(hub.url, "two") as other:
                await until(lambda: len(hub.backend.offers()) == 2)
                assert new.socket.close_code is None
                assert other.socket.close_code is None


async def test_capacity_holds_and_a_cancelled_job_keeps_its_slot_until_it_ends(hub, dial):
    async with dial(hub.url, slots=1) as node:
        await until(hub.backend.offers)
        order = hub.job(do="nothing")
        serving = hub.backend.serve(order)
        first = asyncio.create_task(anext(serving))
        number = await next_job(node)
        with pytest.raises(Overloaded):
            await hub.answer(order)
        await say_output(node, number, b"one")
        assert await first == b"one"
        assert hub.backend.load()[order.offer_id].busy == 1
        await serving.aclose()
        assert (await node.hear(Cancel)).job == number
        with pytest.raises(Overloaded):
            await hub.answer(order)
        await node.say(Done(number))
        await until(lambda: hub.backend.load()[order.offer_id].busy == 0)
        again = asyncio.create_task(hub.answer(order))
        number = await next_job(node)
        await say_output(node, number, b"two")
        await node.say(Done(number))
        assert await again == b"two"


async def test_a_cancelled_reader_cancels_the_job(hub, dial):
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        reader = asyncio.create_task(hub.answer(hub.job(do="nothing")))
        number = await next_job(node)
        reader.cancel()
        assert (await node.hear(Cancel)).job == number


@pytest.mark.parametrize(
    ("failed", "error"),
    [
        ({"kind": "refused", "param": "messages", "code": "c"}, Refused),
        ({"kind": "overloaded", "retry_after": 7}, Overloaded),
        ({"kind": "unavailable"}, Unavailable),
        ({"kind": "timed_out"}, TimedOut),
    ],
)
async def test_failures_are_errors_of_the_core_after_the_output_before_them(hub, dial, failed, error):
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        serving = hub.backend.serve(hub.job(do="nothing"))
        first = asyncio.create_task(anext(serving))
        number = await next_job(node)
        await say_output(node, number, b"one")
        await node.say(Failed(job=number, message="No.", **failed))
        assert await first == b"one"
        with pytest.raises(error, match=r"No\.") as caught:
            await anext(serving)
        for name in set(failed) - {"kind"}:
            assert getattr(caught.value, name) == failed[name]


async def test_a_job_that_takes_too_long_times_out_and_is_cancelled(hub, dial):
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        with pytest.raises(TimedOut, match="max_tokens"):
            await hub.answer(hub.job(do="nothing", timeout_s=0.1))
        assert await node.hear(Cancel)


async def test_a_reader_that_does_not_read_loses_its_job_and_nobody_elses(start_hub, dial):
    hub = await start_hub(unread_limit=256 * 1024)
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        stuck = hub.backend.serve(hub.job(do="nothing"))
        first = asyncio.create_task(anext(stuck))
        flooded = await next_job(node)
        await say_output(node, flooded, b"x")
        await first
        other = asyncio.create_task(hub.answer(hub.job(do="nothing")))
        lively = await next_job(node)
        for _ in range(5):
            await say_output(node, flooded, bytes(limits.FRAGMENT_BYTES))
        await say_output(node, lively, b"fine")
        await node.say(Done(lively))
        assert await other == b"fine"
        assert (await node.hear(Cancel)).job == flooded
        with pytest.raises(Unavailable):
            await anext(stuck)


async def test_a_draining_node_finishes_its_jobs_and_gets_no_new_ones(hub, dial):
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        order = hub.job(do="nothing")
        running = asyncio.create_task(hub.answer(order))
        number = await next_job(node)
        await node.say(Drain())
        await until(lambda: not hub.backend.offers())
        with pytest.raises(Unavailable):
            await hub.answer(order)
        await say_output(node, number, b"done all the same")
        await node.say(Done(number))
        assert await running == b"done all the same"


async def test_a_server_that_stops_tells_its_nodes_and_ends_its_jobs(hub, dial):
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        running = asyncio.create_task(hub.answer(hub.job(do="nothing")))
        await next_job(node)
        await hub.backend.stop()
        with pytest.raises(Unavailable):
            await running
        assert await node.close_code() == CloseCode.RESTARTING


async def test_heartbeats_go_on_while_a_slow_node_receives_a_large_body(start_hub, dial):
    hub = await start_hub(heartbeat_s=0.05)
    size = 20_000_000
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        running = asyncio.create_task(hub.answer(hub.job(body=bytes(size))))
        beating = asyncio.create_task(beat(node))
        received = pings = 0
        while received < size:
            item = await node.socket.recv()
            if isinstance(item, str):
                pings += isinstance(codec.decode(item), Ping)
            elif (frame := frames.decode(item)).type is FrameType.BODY:
                received += len(frame.payload)
                await asyncio.sleep(0.002)  # a link of about 30 MB/s
        assert received == size
        assert pings >= 3
        await node.say(Failed(job=1, kind="refused", message="Enough."))
        with pytest.raises(Refused):
            await running
        beating.cancel()


async def test_what_cannot_be_sent_is_refused(hub, dial):
    async with dial(hub.url):
        await until(hub.backend.offers)
        with pytest.raises(Refused):
            await hub.answer(hub.job(body=bytes(limits.BODY_BYTES + 1)))


async def test_a_name_that_is_no_header_value_is_a_violation(hub, dial):
    async with dial(hub.url, join=False) as node:
        hello = codec.encode(Hello(name="box", software="x")).replace("box", r"b\r\nx")
        await node.socket.send(hello)
        assert await node.close_code() == CloseCode.PROTOCOL_VIOLATION


async def test_an_answer_joins_what_waits_and_ends_once():
    answer = Answer(limit=10)
    assert answer.feed(b"12345")
    assert answer.feed(b"67890")
    assert await answer.read() == b"1234567890"
    assert answer.feed(b"x")
    answer.end()
    answer.end(Unavailable("too late to matter"))
    assert answer.feed(b"ignored after the end")
    assert await answer.read() == b"x"
    assert await answer.read() == b""
    flooded = Answer(limit=3)
    assert not flooded.feed(b"four")
    with pytest.raises(Unavailable):
        await flooded.read()


async def test_facts_of_file_machine_and_speed_reach_the_core(hub, dial):
    model = ModelFacts("m", (), architecture="qwen3", file_bytes=9, sha256="ab" * 32)
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        (old,) = hub.backend.offers()
        assert (old.facts, old.node.facts, hub.backend.load()[old.id].facts) == ({}, {}, {})
        await node.say(
            Hardware(cpu="A CPU", cores=8, memory_bytes=64, gpus=(Gpu("H", 5), Gpu("I"), Gpu("H", 5))),
            Offers((OfferMessage("o", model, 1, engine="llama.cpp"),)),
            Load((OfferLoad("o", 0, decode_tps=50.5, prompt_tps=900),), Machine(memory_free=7, gpu_busy=0.5)),
            Ping(),
        )
        await node.hear(Pong)
        (offer,) = hub.backend.offers()
        assert offer.facts == {"architecture": "qwen3", "engine": "llama.cpp", "file_bytes": 9, "sha256": "ab" * 32}
        assert offer.node.facts == {
            "cpu": "A CPU",
            "cores": 8,
            "memory_bytes": 64,
            "gpu": "2 x H, I",
            "gpu_memory_bytes": 10,
        }
        assert hub.backend.load()[offer.id].facts == {
            "tokens_per_s": 50.5,
            "prompt_tokens_per_s": 900,
            "memory_free_bytes": 7,
            "gpu_busy": 0.5,
        }
        assert len({offer, offer}) == 1


async def test_a_job_that_was_handed_to_its_node_is_kept_by_nobody():
    """Its body may be large, and its answer long."""

    async def read():
        return b"data"

    running = SimpleNamespace(answer=SimpleNamespace(read=read))
    connection = SimpleNamespace(start=lambda offer_id, job: running, stop=lambda running: None)
    backend = NodeBackend(SimpleNamespace(find=lambda offer_id: (connection, offer_id)), None)
    job = Job(id="job", offer_id="offer", path="/v1/x", body=b"{}", max_output_tokens=1, timeout_s=1)
    kept, serving = weakref.ref(job), backend.serve(job)
    del job
    assert kept() is not None
    assert await anext(serving) == b"data"
    assert kept() is None
    await serving.aclose()
