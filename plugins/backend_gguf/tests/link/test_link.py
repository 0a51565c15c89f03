"""The node's side of the link, with a real server at the other end."""

import asyncio
import json
import socket as sockets

import pytest
import structlog
import structlog.testing
from lightphon_backend_gguf.hub import route
from lightphon_backend_gguf.node.link import link as node_link
from lightphon_backend_gguf.node.link.address import link_url
from lightphon_backend_gguf.node.link.link import Link, LinkRefused
from lightphon_backend_gguf.node.serving.served import Endpoint, Served
from lightphon_backend_gguf.protocol import codec, frames
from lightphon_backend_gguf.protocol.closing import CloseCode
from lightphon_backend_gguf.protocol.frames import Frame, FrameType, JobHeader
from lightphon_backend_gguf.protocol.messages import Hello, ModelFacts, OfferMessage, Welcome
from websockets.asyncio.server import serve

from lightphon_core import Overloaded, Principal, Refused, Scope, TimedOut, Unavailable

WELCOME = Welcome(node_id="n", heartbeat_s=5)


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def served(name="m", slots=4):
    offer = OfferMessage(id=name, model=ModelFacts(id=f"maker/{name}", capabilities=("chat",)), slots=slots)
    return Served(offer, Endpoint(url="http://127.0.0.1:1", key="k", model=name))


async def test_many_jobs_at_once_on_several_models_each_get_their_own_answer(hub, engine, start_link):
    start_link(hub.url, served("a", 8), served("b", 8))
    await until(lambda: len(hub.backend.offers()) == 2)
    jobs = [hub.job("ab"[i % 2], do="count", to=200, tag=f"{i}:") for i in range(16)]
    answers = await asyncio.gather(*(hub.answer(job) for job in jobs))
    for i, answer in enumerate(answers):
        assert answer == "".join(f"{i}:{n};" for n in range(200)).encode()
    assert engine.most_open == 16
    await until(lambda: all(load.busy == 0 for load in hub.backend.load().values()))


async def test_output_arrives_as_it_is_made(hub, engine, start_link):
    start_link(hub.url)
    await until(hub.backend.offers)
    serving = hub.backend.serve(hub.job(do="wait"))
    assert await anext(serving) == b"first"
    engine.gate.set()
    assert await anext(serving) == b"last"
    with pytest.raises(StopAsyncIteration):
        await anext(serving)


@pytest.mark.parametrize("do", ["wait", "flood"])
async def test_closing_an_answer_stops_the_engine_at_once(hub, engine, start_link, do):
    start_link(hub.url, served(slots=1))
    await until(hub.backend.offers)
    serving = hub.backend.serve(hub.job(do=do))
    await anext(serving)
    assert engine.open == 1
    await serving.aclose()
    await until(lambda: engine.open == 0, seconds=1)
    await until(lambda: all(load.busy == 0 for load in hub.backend.load().values()), seconds=1)
    engine.gate.set()
    assert await hub.answer(hub.job(do="wait")) == b"firstlast"


@pytest.mark.parametrize(
    ("kind", "error"),
    [("refused", Refused), ("overloaded", Overloaded), ("unavailable", Unavailable), ("timed_out", TimedOut)],
)
async def test_an_engine_that_fails_fails_the_job_alone(hub, engine, start_link, kind, error):
    start_link(hub.url)
    await until(hub.backend.offers)
    with pytest.raises(error, match=r"^No <b>\.$") as caught:
        await hub.answer(hub.job(do="fail", kind=kind))
    if kind == "refused":
        assert (caught.value.param, caught.value.code) == ("messages", "a_code")
    if kind == "overloaded":
        assert caught.value.retry_after == 7
    assert await hub.answer(hub.job(body=b'{"do":"measure"}')) == b'16re"}'


async def test_a_fault_of_the_node_itself_tells_nothing_of_the_request(hub, engine, start_link):
    with structlog.testing.capture_logs() as log:
        start_link(hub.url)
        await until(hub.backend.offers)
        with pytest.raises(Unavailable, match=r"^The node failed\.$"):
            await hub.answer(hub.job(do="bug"))
    (line,) = [line for line in log if line["log_level"] == "error"]
    assert line == {"event": "job failed in the node itself", "log_level": "error", "job": 1, "error": "RuntimeError"}


async def test_a_body_of_20_megabytes_arrives_whole(hub, engine, start_link):
    start_link(hub.url)
    await until(hub.backend.offers)
    small = asyncio.create_task(hub.answer(hub.job(do="count", to=50, tag="s")))
    large = await hub.answer(hub.job(body=b'{"do":"measure","x":"' + b"x" * 19_999_977 + b'"}'))
    assert large == b'20000000xx"}'
    assert (await small).endswith(b"s49;")


async def test_a_node_that_dies_fails_its_jobs_within_two_seconds_and_comes_back(hub, engine, start_link):
    link = start_link(hub.url)
    await until(hub.backend.offers)
    serving = hub.backend.serve(hub.job(do="wait"))
    await anext(serving)
    link.abort()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(anext(serving), 2)
    await until(lambda: engine.open == 0)
    await until(lambda: link.names == ["connecting", "connected", "lost", "connecting", "connected"])
    engine.gate.set()
    await until(hub.backend.offers)
    assert await hub.answer(hub.job(do="wait")) == b"firstlast"


async def test_a_node_comes_back_when_the_server_restarts(hub, engine, start_link):
    link = start_link(hub.url)
    await until(hub.backend.offers)
    await hub.stop()
    await until(lambda: "lost" in link.names)
    assert "restarting" in link.states[2].line
    await hub.start()
    await until(hub.backend.offers)
    assert await hub.answer(hub.job(body=b'{"do":"measure"}')) == b'16re"}'


@pytest.mark.parametrize(
    ("token", "message"), [("wrong", "does not accept the node token"), ("inference", "is not a node token")]
)
async def test_a_token_that_does_not_hold_ends_the_link(hub, engine, start_link, token, message):
    hub.tokens["Bearer inference"] = Principal("a", "k", frozenset({Scope.INFERENCE}))
    with pytest.raises(LinkRefused, match=message) as caught:
        await asyncio.wait_for(start_link(hub.url, token=token).task, 5)
    assert token not in str(caught.value)


async def test_a_revoked_token_ends_the_link(start_hub, engine, start_link):
    hub = await start_hub(recheck_s=0.05)
    link = start_link(hub.url)
    await until(hub.backend.offers)
    hub.tokens.clear()
    with pytest.raises(LinkRefused, match="revoked"):
        await asyncio.wait_for(link.task, 5)
    await until(lambda: not hub.backend.offers())


async def test_an_old_node_is_told_what_to_install_and_serves(hub, engine, start_link, monkeypatch):
    monkeypatch.setattr(route, "VERSION", "9.8.7")
    with structlog.testing.capture_logs() as log:
        link = start_link(hub.url, software="lightphon-node/0.1.0")
        await until(hub.backend.offers)
        await until(lambda: "connected" in link.names)
    (line,) = [line["event"] for line in log if line["event"].startswith("The server says")]
    assert "runs version 0.1.0" in line
    assert "9.8.7" in line
    assert "pip install --upgrade 'lightphon-backend-gguf[node]'" in line
    assert await hub.answer(hub.job(body=b'{"do":"measure"}')) == b'16re"}'


async def test_a_node_without_a_common_version_ends_with_what_to_do(hub, engine, start_link, monkeypatch):
    monkeypatch.setattr(node_link, "SUBPROTOCOLS", ("lightphon.node.v0",))
    with pytest.raises(LinkRefused, match=r"no common version.*install"):
        await asyncio.wait_for(start_link(hub.url).task, 5)


async def test_two_nodes_of_one_name_do_not_fight(hub, engine, start_link):
    first = start_link(hub.url)
    await until(hub.backend.offers)
    second = start_link(hub.url)
    with pytest.raises(LinkRefused, match="a name of its own"):
        await asyncio.wait_for(first.task, 5)
    third = start_link(hub.url, name="another")
    await until(lambda: len(hub.backend.offers()) == 2)
    await until(lambda: second.names == third.names == ["connecting", "connected"])


async def test_draining_finishes_the_jobs_and_then_leaves(hub, engine, start_link):
    link = start_link(hub.url)
    await until(hub.backend.offers)
    order = hub.job(do="wait")
    serving = hub.backend.serve(order)
    await anext(serving)
    link.link.drain()
    await until(lambda: not hub.backend.offers())
    with pytest.raises(Unavailable):
        await hub.answer(order)
    assert not link.task.done()
    engine.gate.set()
    assert [part async for part in serving] == [b"last"]
    await asyncio.wait_for(link.task, 5)
    assert link.names == ["connecting", "connected", "draining", "left"]


async def test_draining_ends_even_a_link_that_waits_to_try_again(engine, start_link):
    asleep = asyncio.Event()

    async def sleep(_):
        asleep.set()
        await asyncio.Event().wait()

    with sockets.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    link = start_link(f"ws://127.0.0.1:{port}/api/node-link", sleep=sleep)
    await asyncio.wait_for(asleep.wait(), 5)
    link.link.drain()
    await asyncio.wait_for(link.task, 5)
    assert link.names == ["connecting", "lost", "draining", "left"]


async def test_offers_follow_what_the_node_serves(hub, engine, start_link):
    link = start_link(hub.url, served("a"))
    await until(hub.backend.offers)
    link.link.serve([served("b"), served("c", slots=2)])
    await until(lambda: [o.model.id for o in hub.backend.offers()] == ["maker/b", "maker/c"])
    assert [o.slots for o in hub.backend.offers()] == [4, 2]


async def test_heartbeats_keep_an_idle_link_up(start_hub, engine, start_link):
    hub = await start_hub(heartbeat_s=0.05)
    link = start_link(hub.url)
    await until(hub.backend.offers)
    # Nothing to wait for but time: six times what would end a silent connection, if beats failed.
    assert (await asyncio.wait({link.task}, timeout=0.9))[0] == set()
    assert link.names == ["connecting", "connected"]
    assert hub.changes == 1


async def test_waits_grow_up_to_a_bound(engine, start_link):
    waits = []
    enough = asyncio.Event()

    async def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 9:
            enough.set()
            await asyncio.Event().wait()

    with sockets.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    start_link(f"ws://127.0.0.1:{port}/api/node-link", sleep=sleep, random=lambda: 1.0)
    await asyncio.wait_for(enough.wait(), 5)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


async def server_that(behave):
    """A WebSocket server that takes hello and offers, says welcome, and then does as a test needs."""

    async def handler(socket):
        assert isinstance(codec.decode(await socket.recv()), Hello)
        await behave(socket)

    server = await serve(
        handler, "127.0.0.1", 0, compression=None, subprotocols=["lightphon.node.v1"], close_timeout=0.2
    )
    return server, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/node-link"


def job_frames(number, body, path="/v1/chat/completions", offer="m"):
    header = frames.encode_header(JobHeader(offer=offer, path=path, size=len(body), timeout_s=9))
    return [
        frames.encode(Frame(FrameType.JOB, number, header)),
        frames.encode(Frame(FrameType.BODY, number, body)),
    ]


async def test_a_server_that_does_not_read_cannot_make_the_node_hoard(engine, start_link):
    ended = asyncio.Event()

    async def behave(socket):
        await socket.send(codec.encode(WELCOME))
        for frame in job_frames(1, json.dumps({"do": "flood"}).encode()):
            await socket.send(frame)
        await ended.wait()

    server, url = await server_that(behave)
    link = start_link(url)
    await until(lambda: engine.open == 1)
    seen = -1
    async with asyncio.timeout(10):
        while seen != engine.produced:  # until it stands still
            seen = engine.produced
            await asyncio.sleep(0.1)
    session = link.link._connection._session
    assert 0 < session.waiting(1) <= 128 * 1024
    assert seen < 16 * 1024 * 1024, "all of it but a little is in the kernel's buffers"
    link.task.cancel()
    await until(lambda: engine.open == 0)
    ended.set()
    server.close()
    await server.wait_closed()


async def test_a_silent_server_is_given_up(engine, start_link):
    async def behave(socket):
        await socket.send(codec.encode(Welcome(node_id="n", heartbeat_s=0.05)))
        async for _ in socket:
            pass

    server, url = await server_that(behave)
    link = start_link(url)
    await until(lambda: "lost" in link.names)
    assert "fallen silent" in link.states[2].line
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("frames_sent", "kind"),
    [
        (job_frames(1, b"{}", path="/v1/../props"), "refused"),
        (job_frames(1, b"{}", offer="other"), "unavailable"),
        ([f for n in range(1, 4) for f in job_frames(n, b'{"do": "wait"}')], "overloaded"),
    ],
)
async def test_the_node_guards_itself(engine, start_link, frames_sent, kind):
    heard = asyncio.Queue()

    async def behave(socket):
        await socket.send(codec.encode(WELCOME))
        for frame in frames_sent:
            await socket.send(frame)
        async for message in socket:
            if isinstance(message, str) and getattr(codec.decode(message), "kind", None):
                heard.put_nowait(codec.decode(message))

    server, url = await server_that(behave)
    start_link(url, served(slots=2))
    failed = await asyncio.wait_for(heard.get(), 5)
    assert failed.kind == kind
    server.close()
    await server.wait_closed()


async def test_a_server_that_breaks_the_protocol_is_left_and_tried_again(engine, start_link):
    codes = []

    async def behave(socket):
        await socket.send("no json")
        await socket.wait_closed()
        codes.append(socket.close_code)

    server, url = await server_that(behave)
    link = start_link(url, random=lambda: 0.0)
    await until(lambda: len(codes) == 2)
    assert codes == [CloseCode.PROTOCOL_VIOLATION] * 2
    assert "broke the protocol" in link.states[1].line
    server.close()
    await server.wait_closed()


async def test_an_address_without_a_node_link_is_told(hub, start_link):
    link = start_link(hub.url + "-not")
    await until(lambda: "lost" in link.names)
    assert "HTTP 40" in link.states[1].line


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/api/node-link"),
        ("http://localhost:8000/v1/", "ws://localhost:8000/api/node-link"),
        ("http://[::1]:8000", "ws://[::1]:8000/api/node-link"),
        ("https://example.org/lp", "wss://example.org/lp/api/node-link"),
        (" wss://example.org/api/node-link ", "wss://example.org/api/node-link"),
    ],
)
def test_the_link_is_found_from_the_servers_address(given, url):
    assert link_url(given) == url


@pytest.mark.parametrize(
    "given",
    [
        "http://example.org",
        "ws://10.0.0.1:8000",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "ftp://127.0.0.1",
        "127.0.0.1:8000",
        "https://",
        "https://user:pw@example.org",
        "https://example.org/?token=x",
        "http://[::1",
        "http://127.0.0.1:99999",
        "",
    ],
)
def test_an_address_that_would_leak_the_token_or_is_none_is_refused(given):
    with pytest.raises(ValueError, match=r"^the server's address"):
        link_url(given)


@pytest.mark.parametrize(
    ("token", "name"), [("", "box"), ("a b", "box"), ("a\r\nb", "box"), ("tök", "box"), ("np_x", "b\nx"), ("np_x", "")]
)
def test_a_token_or_name_that_cannot_be_sent_is_refused_at_once(token, name, engine):
    with pytest.raises(ValueError):  # noqa: PT011 - two sources, no common text
        Link("ws://127.0.0.1:1/", token, name, software="t/1", post=engine.post, report=print, log=None)
