"""Nodes that mean harm. Each is cut off or ignored, while a stream on another node runs through it all."""

import asyncio
import base64
import json
import struct

import pytest
from lightphon_backend_gguf.hub import gate
from lightphon_backend_gguf.protocol import codec, frames, limits, tolls
from lightphon_backend_gguf.protocol.closing import CloseCode
from lightphon_backend_gguf.protocol.frames import Frame, FrameType
from lightphon_backend_gguf.protocol.messages import Cancel, Done, Failed, Hello, Offers, Welcome
from websockets.exceptions import ConnectionClosed

from lightphon_core import Unavailable
from lightphon_core.web.edge.sockets import BoundedSockets


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def output(job, data=b"x"):
    return frames.encode(Frame(FrameType.OUTPUT, job, data))


async def next_job(node):
    while (frame := await node.hear(Frame)).type is not FrameType.JOB:
        pass
    return frame.job


def open_sockets(hub):
    return sum(isinstance(each, BoundedSockets) for each in hub._server.server_state.connections)


@pytest.fixture
async def bystander(hub, start_link, make_served):
    """A client with a stream on an honest node; the stream must go on, in order, until the test is over."""
    start_link(hub.url, make_served("honest"), token="two", name="honest")
    await until(hub.backend.offers)
    stream = hub.backend.serve(hub.job("honest", do="count", to=10**9, tag=":"))
    received, parts = bytearray(), 0

    async def read():
        nonlocal parts
        async for part in stream:
            received.extend(part)
            del received[:-100_000]
            parts += 1
            await asyncio.sleep(0.001)

    reading = asyncio.create_task(read())
    await until(lambda: received)
    before = parts
    yield
    assert parts > before, "the bystander's stream stood still meanwhile"
    after = parts
    await until(lambda: parts > after)
    assert not reading.done(), "the bystander's stream has ended"
    numbers = [int(part) for part in bytes(received).split(b";")[1:-1] for part in [part.removeprefix(b":")]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "the bystander's stream has gaps"
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await stream.aclose()


async def pour(node, *messages):
    """Send until the server hangs up; its close code."""
    try:
        while True:
            for message in messages:
                await node.socket.send(message)
                await asyncio.sleep(0)  # the server is in this very loop
    except ConnectionClosed:
        return await node.close_code()


def padded(kind, size=400, **fields):
    """Too large for as many to arrive at once as are cut off for their number alone."""
    return json.dumps({"type": kind, "padding": "x" * size, **fields})


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        pytest.param(["not json" * 50], CloseCode.PROTOCOL_VIOLATION, id="rubbish"),
        pytest.param([b"\xff" * 300], CloseCode.PROTOCOL_VIOLATION, id="binary rubbish"),
        pytest.param([padded("load", offers=[])], CloseCode.FLOODING, id="loads"),
        pytest.param([padded("of the future")], CloseCode.FLOODING, id="unknown types"),
        pytest.param([padded("offers", offers=[])], CloseCode.FLOODING, id="offers"),
        pytest.param([padded("pong", 500_000)], CloseCode.FLOODING, id="large messages"),
        pytest.param([b"\x7f" + bytes(7) + b"\x01" + bytes(60_000)], CloseCode.FLOODING, id="unknown frames"),
        pytest.param(["x" * (limits.MESSAGE_BYTES + 1)], 1009, id="beyond the largest message"),
    ],
)
async def test_a_flood_is_cut_off(hub, dial, bystander, monkeypatch, messages, code):
    monkeypatch.setattr(tolls, "IDLE_FRAME_TOLL", 20)  # or the test would have to send gigabytes
    async with dial(hub.url) as node:
        assert await asyncio.wait_for(pour(node, *messages), 20) == code
    await until(lambda: len(hub.backend.offers()) == 1)


async def test_output_of_a_job_that_is_over_is_ignored_and_has_an_end(hub, dial, bystander, monkeypatch):
    async with dial(hub.url) as node:
        await until(lambda: len(hub.backend.offers()) == 2)
        serving = hub.backend.serve(hub.job(do="nothing"))
        first = asyncio.create_task(anext(serving))
        job = await next_job(node)
        await node.socket.send(output(job))
        await first
        await serving.aclose()
        await node.hear(Cancel)
        for _ in range(200):  # of the cancelled job, then of the same one retired
            await node.socket.send(output(job))
        await node.say(Done(job), Done(job), Failed(job, kind="refused", message="No."))
        await node.socket.send(output(job))
        asked = asyncio.create_task(hub.answer(hub.job(do="nothing")))
        again = await next_job(node)
        await node.socket.send(output(again, b"fine"))
        await node.say(Done(again))
        assert await asked == b"fine"
        monkeypatch.setattr(tolls, "IDLE_FRAME_TOLL", 20)
        assert await asyncio.wait_for(pour(node, output(job, bytes(400))), 20) == CloseCode.FLOODING


@pytest.mark.parametrize("message", [output(1), codec.encode(Done(1)), output(2**62)])
async def test_another_connections_ids_and_those_never_issued_cut_off(hub, dial, bystander, message):
    # The honest node's job has the id 1, on its own connection.
    async with dial(hub.url) as node:
        await node.socket.send(message)
        assert await node.close_code() == CloseCode.PROTOCOL_VIOLATION


async def test_what_was_recorded_on_one_connection_is_worth_nothing_on_the_next(hub, dial, bystander):
    async with dial(hub.url) as node:
        await until(lambda: len(hub.backend.offers()) == 2)
        asked = asyncio.create_task(hub.answer(hub.job(do="nothing")))
        job = await next_job(node)
        node.socket.transport.abort()
    with pytest.raises(Unavailable):
        await asked
    async with dial(hub.url) as node:
        await node.socket.send(output(job, b"replayed"))
        assert await node.close_code() == CloseCode.PROTOCOL_VIOLATION


NAMES = [
    "a\r\nset-cookie: x",
    "a\nb",
    "\x1b[31mred",
    "a\u202eb",
    "a\u200eb",
    "a\u200bb",
    "b\u00f6x",
    "",
    " a",
    "x" * 65,
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["name", "software", "model", "offer", "capability", "maker"])
async def test_names_that_could_be_more_than_names_cut_off(hub, dial, name, where):
    hello = {"type": "hello", "name": "box", "software": "x/1"}
    model = {"id": "m", "capabilities": ["chat"], "maker": "m"}
    offer = {"id": "m", "slots": 1, "model": model}
    match where:
        case "name" | "software":
            hello[where] = name
        case "model":
            model["id"] = name * 4
        case "offer":
            offer["id"] = name * 4
        case "capability":
            model["capabilities"] = [name]
        case "maker":
            model["maker"] = name
    async with dial(hub.url, join=False) as node:
        await node.socket.send(json.dumps(hello))
        await node.socket.send(json.dumps({"type": "offers", "offers": [offer]}))
        assert await node.close_code() == CloseCode.PROTOCOL_VIOLATION
    assert not hub.backend.offers()


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", "a\u202eb", "a\u200bb", "a\u2028b", "x" * 1001])
async def test_so_do_such_texts_of_failures(hub, dial, text):
    async with dial(hub.url) as node:
        await until(hub.backend.offers)
        asked = asyncio.create_task(hub.answer(hub.job(do="nothing")))
        job = await next_job(node)
        await node.socket.send(json.dumps({"type": "failed", "job": job, "kind": "refused", "message": text}))
        with pytest.raises(Unavailable):
            await asked
        assert await node.close_code() == CloseCode.PROTOCOL_VIOLATION


async def test_more_offers_than_allowed_cut_off(start_hub, dial, make_offer):
    hub = await start_hub(max_offers=3)
    async with dial(hub.url) as node:
        await node.say(Offers(tuple(make_offer(f"m{i}") for i in range(4))))
        assert await node.close_code() == CloseCode.PROTOCOL_VIOLATION


async def test_nodes_of_one_token_are_bounded(start_hub, dial):
    hub = await start_hub(max_nodes_per_token=2)
    async with dial(hub.url, join=False) as one, dial(hub.url, join=False) as two, dial(hub.url, join=False) as three:
        for name, node in (("a", one), ("b", two)):
            await node.say(Hello(name=name, software="x/1"))
            await node.hear(Welcome)
        await three.say(Hello(name="c", software="x/1"))
        assert await three.close_code() == CloseCode.TOO_MANY_NODES
        async with dial(hub.url, join=False) as back:
            await back.say(Hello(name="a", software="x/1"))
            await back.hear(Welcome)
            assert await one.close_code() == CloseCode.REPLACED
        async with dial(hub.url, "two", join=False) as other:
            await other.say(Hello(name="c", software="x/1"))
            await other.hear(Welcome)


async def test_unknown_tokens_are_looked_up_so_often_and_then_no_more(hub, dial, monkeypatch):
    monkeypatch.setattr(gate, "BAD_TOKENS_PER_MINUTE", 3)
    codes = []
    for number in range(5):
        async with dial(hub.url, f"guess-{number}", join=False) as node:
            codes.append(await node.close_code())
    assert codes == [CloseCode.BAD_TOKEN] * 3 + [CloseCode.TRY_LATER] * 2
    assert hub.checks == 3


async def test_silent_connections_of_one_address_are_bounded(hub, dial, monkeypatch):
    monkeypatch.setattr(gate, "WAITING_PER_ADDRESS", 2)
    async with dial(hub.url, join=False), dial(hub.url, join=False):
        await until(lambda: hub.checks == 2)
        async with dial(hub.url, join=False) as third:
            assert await third.close_code() == CloseCode.TRY_LATER


async def test_a_token_revoked_on_this_server_ends_its_links_at_once(start_hub, dial):
    hub = await start_hub(recheck_s=3600)
    async with dial(hub.url) as node, dial(hub.url, "two") as other:
        await until(lambda: len(hub.backend.offers()) == 2)
        hub.account_changed("account-one")
        await until(lambda: hub.checks == 3)
        assert node.socket.close_code is None, "it still holds"
        del hub.tokens["Bearer one"]
        hub.account_changed("account-one")
        assert await node.close_code() == CloseCode.BAD_TOKEN
        assert other.socket.close_code is None
        assert hub.checks == 4, "others were not even looked up"


async def test_a_peer_that_never_reads_is_let_go(start_hub, monkeypatch):
    monkeypatch.setattr(BoundedSockets, "linger_s", 0.1)
    hub = await start_hub(heartbeat_s=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port, limit=1024)
    key = base64.b64encode(bytes(16)).decode()
    writer.write(
        f"GET /api/node-link HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\nauthorization: Bearer one\r\n"
        f"sec-websocket-protocol: lightphon.node.v1\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    offer = {"id": "m", "slots": 1, "model": {"id": "maker/m", "capabilities": ["chat"]}}
    hello = {"type": "hello", "name": "box", "software": "x/1"}
    for message in (hello, {"type": "offers", "offers": [offer]}):
        payload = json.dumps(message).encode()
        writer.write(b"\x81\xfe" + struct.pack("!H", len(payload)) + bytes(4) + payload)
    await until(hub.backend.offers)
    assert open_sockets(hub) == 1
    with pytest.raises(Unavailable):  # far more than the kernel's buffers hold, so even the close frame cannot leave
        await asyncio.wait_for(hub.answer(hub.job(body=bytes(limits.BODY_BYTES))), 10)
    await until(lambda: not open_sockets(hub), 10)
    writer.transport.abort()
