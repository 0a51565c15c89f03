"""Servers that mean harm, and prompts that do: what the node lets through, fetches, keeps, and where it goes."""

import asyncio
import contextlib
import json
import re
import tracemalloc

import pytest
from attrs import evolve
from lightphon_backend_gguf.node.dialect import LLAMA_CPP
from lightphon_backend_gguf.node.engines.llamacpp import LlamaCpp, LlamaCppSettings
from lightphon_backend_gguf.node.guard import guarded
from lightphon_backend_gguf.node.link.link import Link
from lightphon_backend_gguf.node.serving.served import Served
from lightphon_backend_gguf.node.serving.upstream import Upstream
from lightphon_backend_gguf.protocol import codec, frames, limits
from lightphon_backend_gguf.protocol.frames import Frame, FrameType, JobHeader
from lightphon_backend_gguf.protocol.messages import Failed, Hello, JobFailed, Welcome
from lightphon_backend_gguf.testing import scripted
from websockets.asyncio.server import serve
from websockets.http11 import Response

from lightphon_core import Refused
from lightphon_core.openai import fields

PATH = "/v1/chat/completions"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="
TEXT = {"type": "text", "text": "What is this?"}


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


def chat(*parts, role="user", **members):
    return {"messages": [{"role": role, "content": [TEXT, *parts]}], **members}


def attempts(url):
    """Requests that would have an engine fetch `url`, if it read them."""
    return [
        chat({"type": "image_url", "image_url": {"url": url}}),
        chat({"type": "image_url", "image_url": url}),
        chat({"type": "image_url", "image_url": {"url": url}}, role="tool"),
        chat({"type": "image_url", "image_url": {"url": PIXEL, "detail": "low", "uri": url}}),
        chat({"type": "image_url", "image_url": {"url": " " + url}}),
        chat({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{url}"}}),
        chat({"type": "input_image", "image_url": url}),
        chat({"type": "image", "source": {"type": "url", "url": url}}),
        chat({"type": "file", "file": {"file_data": url}}),
        chat({"type": "file", "file": {"file_id": url, "filename": url}}),
        chat({"type": "input_file", "file_url": url}),
        chat({"type": "video_url", "video_url": {"url": url}}),
        chat({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav", "url": url}}),
        chat({"type": ["image_url"], "image_url": {"url": url}}),
        {"messages": [{"role": "user", "content": {"type": "image_url", "image_url": {"url": url}}}]},
        {"messages": {"0": {"role": "user", "content": url}}},
        {"messages": [url]},
    ]


SOMEWHERE = [
    "http://192.168.0.1/",
    "HTTPS://host/",
    "file:///etc/passwd",
    "\\\\host\\x",
    "ftp://h/",
    "data:text/html,x",
]


@pytest.mark.parametrize("url", SOMEWHERE)
def test_what_an_engine_might_fetch_is_refused(url):
    for request in attempts(url):
        with pytest.raises(JobFailed) as refused:
            guarded(json.dumps(request).encode())
        assert refused.value.kind == "refused"
        assert url not in refused.value.message


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'{"x":NaN}', b"[" * 100_000, b"\xff", b'{"a":1}{"b":2}'])
def test_what_is_no_json_object_is_refused(body):
    with pytest.raises(JobFailed):
        guarded(body)


def test_the_engine_reads_what_was_checked():
    twice = b'{"messages":[],"messages":[{"role":"user","content":"Hi"}],"x":1.5}'
    assert guarded(twice) == {"messages": [{"role": "user", "content": "Hi"}], "x": 1.5}
    marked = chat({"type": "image_url", "image_url": {"url": PIXEL}, "cache_control": {"url": "http://h/"}})
    assert "cache_control" not in str(guarded(json.dumps(marked).encode()))
    for content in (None, "see http://192.168.0.1/", "\ud800"):
        plain = {"messages": [{"role": "user", "content": content, "tool_calls": []}], "prompt": "x"}
        assert guarded(json.dumps(plain).encode()) == plain


class Canary:
    """Listens, and counts who comes."""

    def __init__(self):
        self.visits = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._visit, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _visit(self, _, writer):
        self.visits += 1
        writer.close()


class Recorder:
    """Stands between node and engine, and keeps what the engine is sent."""

    def __init__(self, url):
        self._host, self._port = url.removeprefix("http://").split(":")
        self.sent = bytearray()

    def bodies(self):
        """The bodies of what it was sent, decoded."""
        rest, found = bytes(self.sent), []
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            size = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
            found.append(json.loads(rest[:size]))
            rest = rest[size:]
        return found

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _pass_on(self, reader, writer):
        engine, to_engine = await asyncio.open_connection(self._host, int(self._port))

        async def pump(source, sink, kept):
            try:
                while data := await source.read(65536):
                    kept += data
                    sink.write(data)
                    await sink.drain()
            except OSError:
                pass
            finally:
                sink.close()

        await asyncio.gather(pump(reader, to_engine, self.sent), pump(engine, writer, bytearray()))


@pytest.fixture
async def recorder(hub, make_served, tmp_path):
    """What llama.cpp is sent, behind a node of the hub's."""
    path = tmp_path / "model.gguf"
    scripted.GREETING.write(path)
    engine = LlamaCpp(LlamaCppSettings(path=path, alias="m", slots=1, context=2048, threads=1))
    endpoint = await engine.start()
    try:
        async with Recorder(endpoint.url) as recorder, Upstream() as upstream:
            link = Link(
                hub.url, "one", "box", software="test/1", post=upstream.post, report=lambda _: None, log=_Silent()
            )
            link.serve([Served(make_served().offer, evolve(endpoint, url=recorder.url))])
            running = asyncio.create_task(link.run())
            await until(hub.backend.offers)
            yield recorder
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    finally:
        await engine.stop()


async def test_through_the_link_llama_cpp_fetches_nothing(hub, recorder):
    async with Canary() as canary:
        for request in attempts(f"{canary.url}/secret"):
            with pytest.raises(Refused):
                await hub.answer(hub.job(body=json.dumps(request).encode()))
        assert not recorder.sent
        schema = {"$ref": f"{canary.url}/schema.json", "$defs": {"a": {"$ref": "file:///etc/passwd"}}}
        formats = [
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}},
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]},
        ]
        for members in formats:
            request = {"messages": [{"role": "user", "content": f"Read {canary.url}"}], "max_tokens": 4, **members}
            with contextlib.suppress(Refused):  # an answer or a refusal, as long as nothing is fetched
                assert b"choices" in await hub.answer(hub.job(body=json.dumps(request).encode()))
        assert b"schema.json" in recorder.sent, "the recorder records"
        assert canary.visits == 0


OFF_THE_LIST = {
    "n_predict": 1,
    "n_probs": 5,
    "n_cmpl": 2,
    "id_slot": 0,
    "cache_prompt": True,
    "slot_save_path": "/tmp",
    "filename": "../../etc/passwd",
    "lora": [{"id": 0, "scale": 9.0}],
    "mmproj": "/etc/passwd",
    "model_path": "/etc/passwd",
    "chat_template": "{{ 1 / 0 }}",
    "return_tokens": True,
    "image_data": [{"data": "http://192.168.0.1/", "id": 1}],
    "images": ["http://192.168.0.1/"],
    "t_max_predict_ms": 1,
    "speculative.n_max": 64,
    "__verbose": True,
}
"""What a server might add to a job, each with a value that llama.cpp, or another engine, would make something of."""


async def test_through_the_link_only_what_is_listed_reaches_llama_cpp(hub, recorder):
    message = {"role": "user", "content": "Hi", "images": ["http://192.168.0.1/"], "audio": {"id": "hostile"}}
    listed = {"messages": [message], "temperature": 0, "stream": False, "max_tokens": 40, "repeat_penalty": 1.0}
    names = (fields.REMOVED | set(OFF_THE_LIST)) - LLAMA_CPP
    removed = {name: OFF_THE_LIST.get(name, "hostile") for name in names}
    louder = {name.upper(): value for name, value in {**removed, **listed}.items()}
    bodies = [
        json.dumps({**removed, **listed, **louder}),
        json.dumps(listed)[:-1] + ',"n_predict":1,"n\\u005fpredict":1,"max_tokens":41,"stream":false}',
    ]
    for body in bodies:
        answer = json.loads(await hub.answer(hub.job(body=body.encode())))
        assert answer["choices"][0]["message"]["content"] == scripted.GREETING.text
    whole, repeated = recorder.bodies()
    kept = {**listed, "messages": [{"role": "user", "content": "Hi"}], "model": "m"}
    assert whole == kept
    assert repeated == {**kept, "max_tokens": 41}
    assert recorder.sent.count(b"max_tokens") == 2, "of a repeated member, one is left"


class _Silent:
    def __getattr__(self, _):
        return lambda *_, **__: None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_the_token_goes_nowhere(start_link, status):
    async with Canary() as canary:

        def elsewhere(connection, request):
            response = connection.respond(status, "elsewhere")
            response.headers["Location"] = canary.url.replace("http", "ws")
            assert isinstance(response, Response)
            return response

        async with serve(lambda _: None, "127.0.0.1", 0, process_request=elsewhere) as server:
            port = server.sockets[0].getsockname()[1]
            link = start_link(f"ws://127.0.0.1:{port}/api/node-link")
            await until(lambda: "lost" in link.names)
        assert f"HTTP {status}" in link.states[1].line
        assert canary.visits == 0


async def server_that(behave):
    """A server that takes hello, and then does as a test needs."""

    async def handler(socket):
        assert isinstance(codec.decode(await socket.recv()), Hello)
        await behave(socket)

    server = await serve(
        handler, "127.0.0.1", 0, compression=None, subprotocols=["lightphon.node.v1"], close_timeout=0.2
    )
    return server, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/node-link"


def opening(number, size):
    header = frames.encode_header(JobHeader(offer="m", path=PATH, size=size, timeout_s=60))
    return frames.encode(Frame(FrameType.JOB, number, header))


async def test_bodies_that_come_side_by_side_are_bounded(engine, start_link, make_served, monkeypatch):
    monkeypatch.setattr(limits, "UNFINISHED_BYTES", 1_000_000)
    refused, finished = [], asyncio.Event()

    def hear(message):
        if isinstance(message, Failed) and message.kind == "overloaded":
            refused.append(message.job)

    async def listen(socket):
        async for message in socket:
            hear(codec.decode(message))

    async def behave(socket):
        await socket.send(codec.encode(Welcome(node_id="n", heartbeat_s=5)))
        listening = asyncio.create_task(listen(socket))
        for number in range(1, 101):
            await socket.send(opening(number, 400_000))
        for _ in range(6):  # never the last piece
            for number in range(1, 101):
                await socket.send(frames.encode(Frame(FrameType.BODY, number, bytes(60_000))))
        await until(lambda: len(refused) == 98)
        finished.set()
        await socket.wait_closed()
        listening.cancel()

    server, url = await server_that(behave)
    tracemalloc.start()
    try:
        start_link(url, make_served(slots=4))
        await asyncio.wait_for(finished.wait(), 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused == list(range(3, 101)), "two fit"
    assert engine.most_open == 0
    assert peak < 12_000_000, "of the 36 MB that were sent"
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("rubbish", ["no json", b"", b"\x01" + bytes(20), "pings", "jobs", "silence"])
async def test_a_server_gone_mad_is_left_and_tried_again_ever_more_rarely(
    engine, start_link, make_served, monkeypatch, rubbish
):
    monkeypatch.setattr(limits, "JOBS", 50)
    waits, enough = [], asyncio.Event()

    async def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 4:
            enough.set()
            await asyncio.Event().wait()

    async def behave(socket):
        if rubbish == "silence":
            await socket.send(codec.encode(Welcome(node_id="n", heartbeat_s=0.02)))
            await socket.wait_closed()
        await socket.send(codec.encode(Welcome(node_id="n", heartbeat_s=5)))
        if rubbish == "pings":
            for _ in range(3000):
                await socket.send('{"type":"ping"}')
            await socket.close()
        elif rubbish == "jobs":
            for number in range(1, 2 * limits.JOBS + 2):
                await socket.send(opening(number, 1))
        else:
            await socket.send(rubbish)
        await socket.wait_closed()

    server, url = await server_that(behave)
    link = start_link(url, make_served(), sleep=sleep, random=lambda: 1.0)
    await asyncio.wait_for(enough.wait(), 20)
    assert waits == [0.5, 1, 2, 4]
    assert not link.task.done()
    server.close()
    await server.wait_closed()


async def test_what_the_server_tells_the_operator_is_one_plain_line(engine, start_link):
    for notice in ("a\nb", "\x1b[2J", "a\u202eb", "x" * 301):
        text = json.dumps({"type": "welcome", "node_id": "n", "heartbeat_s": 5, "notice": notice})
        said = []

        async def behave(socket, text=text, said=said):
            await socket.send(text)
            await socket.wait_closed()
            said.append(socket.close_code)

        server, url = await server_that(behave)
        link = start_link(url)
        await until(lambda said=said: said)
        assert said[0] == 4400
        link.task.cancel()
        server.close()
        await server.wait_closed()
