"""How much of all bodies is held at one time: by whom, from when, and until when."""

import asyncio
import json
import threading

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.errors import BodyTooLarge, BodyTooSlow, ServerBusy
from lightphon_core.settings import Secret, ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.process import until
from lightphon_core.testing.scripted import chunk, says
from lightphon_core.types import Model
from lightphon_core.web import inference
from lightphon_core.web.edge.bodies import HOLDER, UNCOUNTED_BYTES, BoundedBodies
from lightphon_core.web.edge.body_room import BodyRoom

PATIENCE_S = 20
LIMIT = 1_000


class TestRoom:
    def test_whoever_holds_leaves_as_much_free(self):
        room = BodyRoom(LIMIT)
        room.take("a", 500)
        with pytest.raises(ServerBusy) as refused:
            room.take("a", 1)
        assert refused.value.retry_after > 0
        room.take("b", 250)
        with pytest.raises(ServerBusy):
            room.take("b", 1)
        room.take("c", 125)
        assert room.held == 875
        room.give_back("a", 500)
        room.take("b", 187)
        assert room.held == 562

    @given(steps=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, LIMIT), st.booleans()), max_size=60))
    def test_whatever_is_asked_for_nothing_is_lost_and_something_is_left(self, steps):
        room, held = BodyRoom(LIMIT), []
        for who, size, ends in steps:
            if ends and held:
                room.give_back(*held.pop(size % len(held)))
            else:
                of_theirs = sum(each for name, each in held if name == who)
                fits = of_theirs + size <= LIMIT - room.held - size
                try:
                    room.take(who, size)
                except ServerBusy:
                    assert not fits
                else:
                    assert fits
                    held.append((who, size))
            assert room.held == sum(size for _, size in held) < LIMIT
        for each in held:
            room.give_back(*each)
        assert room.held == 0


def part(size, *, more=True):
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


HUNG_UP = {"type": "http.disconnect"}
COUNTED = 100
LARGE = UNCOUNTED_BYTES + COUNTED


class Request:
    """One that passes the edge by hand: `messages` come, and then nothing."""

    def __init__(self, room, *messages, declared=None, holder="a"):
        headers = [] if declared is None else [(b"content-length", str(declared).encode())]
        self._scope = {"type": "http", "headers": headers, "state": {HOLDER: holder}}
        self._messages = list(messages)
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()
        edge = BoundedBodies(self._route, limit=LARGE + LIMIT, timeout_s=0.05, room=room)
        self.task = asyncio.create_task(edge(self._scope, self._receive, None))

    async def _receive(self):
        if self._messages:
            return self._messages.pop(0)
        return await asyncio.get_running_loop().create_future()

    async def _route(self, scope, receive, send):
        del scope, send
        try:
            while (message := await receive())["type"] == "http.request" and message["more_body"]:
                pass
        finally:
            self.arrived.set()
        await self.go_on.wait()


class TestUntilTheRequestIsOver:
    async def test_it_is_held_while_the_answer_lasts(self):
        room = BodyRoom(LIMIT)
        request = Request(room, part(LARGE - 1), part(1, more=False))
        await request.arrived.wait()
        assert room.held == COUNTED
        request.go_on.set()
        await request.task
        assert room.held == 0

    @pytest.mark.parametrize(
        ("messages", "error"),
        [
            ([part(LARGE), HUNG_UP], None),
            ([part(LARGE), part(LIMIT), part(1)], BodyTooLarge),
            ([part(LARGE)], BodyTooSlow),
            ([part(LARGE), part(LIMIT // 2)], ServerBusy),
        ],
    )
    async def test_however_it_ends(self, messages, error):
        # Half of it is one holder's: for the too large one there is room.
        room = BodyRoom(LIMIT if error is ServerBusy else 4 * LIMIT)
        request = Request(room, *messages)
        await request.arrived.wait()
        if error is None:
            assert room.held == COUNTED
            request.go_on.set()
            await request.task
        else:
            with pytest.raises(error):
                await request.task
        assert room.held == 0

    async def test_one_that_is_cancelled(self):
        room = BodyRoom(LIMIT)
        request = Request(room, part(LARGE, more=False))
        await request.arrived.wait()
        assert room.held == COUNTED
        request.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request.task
        assert room.held == 0

    async def test_what_is_declared_takes_no_room_but_is_refused_at_once_where_there_is_none(self):
        room = BodyRoom(LIMIT)
        declares = Request(room, part(1), declared=UNCOUNTED_BYTES + LIMIT // 2)
        refused = Request(room, declared=UNCOUNTED_BYTES + LIMIT // 2 + 1)
        with pytest.raises(ServerBusy):
            await refused.task
        assert room.held == 0
        with pytest.raises(BodyTooSlow):
            await declares.task

    async def test_small_ones_always_find_room(self):
        room = BodyRoom(0)
        request = Request(room, part(UNCOUNTED_BYTES, more=False), declared=UNCOUNTED_BYTES)
        request.go_on.set()
        await request.task


def chat(text):
    return json.dumps({"model": "auto", "stream": True, "messages": [{"role": "user", "content": text}]})


class TestAccounts:
    BODY = 300_000
    METRICS = "metrics-token-0123456789"

    @pytest.fixture
    def running(self, start_server):
        self.go = threading.Event()

        async def reply(job):
            yield chunk({"content": "begun"})
            if b"wait" in job.body:
                assert await asyncio.to_thread(self.go.wait, PATIENCE_S)
            yield chunk(finish="stop")

        settings = ServerSettings(
            max_body_bytes=self.BODY, max_bodies_bytes=4 * self.BODY, metrics_token=Secret(self.METRICS)
        )
        yield start_server(
            plugin_of(ScriptedBackend(reply, models=[Model("test-model", context_length=1_000_000)])), server=settings
        )
        self.go.set()

    def held(self, running):
        page = httpx.get(f"{running.url}/metrics", headers={"authorization": f"Bearer {self.METRICS}"}).text
        return int(page.partition("\nlightphon_body_bytes ")[2].partition("\n")[0])

    def hold_back(self, wire, running, key):
        """A body of which the last byte does not come."""
        connection = wire(running.url)
        head = ["POST /v1/chat/completions HTTP/1.1", "host: localhost", f"authorization: Bearer {key}"]
        connection.send("\r\n".join([*head, f"content-length: {self.BODY}"]) + "\r\n\r\n" + "x" * (self.BODY - 1))
        return connection

    def ask(self, running, key, text):
        url = f"{running.url}/v1/chat/completions"
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(url, content=chat(text), headers=headers, timeout=PATIENCE_S)

    def test_one_leaves_room_to_the_others_and_gets_its_small_requests_in(self, running, wire):
        with running.server.database.transaction() as connection:
            other = create_credential(connection, create_account(connection, "other", now=1), Kind.API_KEY, now=1)[1]
        counted = self.BODY - 1 - UNCOUNTED_BYTES
        connections = [self.hold_back(wire, running, running.api_key) for _ in range(2)]
        until(lambda: self.held(running) == 2 * counted, "two bodies are held")
        refused = self.ask(running, running.api_key, "x" * (self.BODY - 200))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_busy")
        assert refused.json()["error"]["type"] == "server_error"
        assert int(refused.headers["retry-after"]) >= 1
        assert self.ask(running, running.api_key, "small").text.endswith("data: [DONE]\n\n")
        assert self.ask(running, other, "x" * (self.BODY - 200)).text.endswith("data: [DONE]\n\n")
        for each in connections:
            each.socket.close()
        until(lambda: self.held(running) == 0, "nothing is held")

    def test_it_is_held_until_the_stream_has_ended(self, running):
        url, headers = f"{running.url}/v1/chat/completions", {"authorization": f"Bearer {running.api_key}"}
        asked = chat("wait" + "x" * 200_000)
        with httpx.stream("POST", url, content=asked, headers=headers, timeout=PATIENCE_S) as stream:
            lines = stream.iter_lines()
            assert "begun" in next(lines)
            assert self.held(running) == len(asked) - UNCOUNTED_BYTES
            self.go.set()
            assert list(lines)[-2] == "data: [DONE]"
        until(lambda: self.held(running) == 0, "nothing is held")


def test_large_ones_that_are_whole_at_once_are_read_with_a_turn_for_others_in_between(start_server, wire, monkeypatch):
    running = start_server(plugin_of(ScriptedBackend(says("x"))))
    turns, over, all_sent, read = [0], threading.Event(), threading.Event(), []
    parse = inference.wire.parse

    def noted(*arguments, **options):
        read.append(turns[0])
        assert all_sent.wait(PATIENCE_S)  # so that all others are there, as the loop goes on
        return parse(*arguments, **options)

    async def count_turns():
        turns[0] += 1
        if not over.is_set():
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: loop.create_task(count_turns()))

    monkeypatch.setattr(inference.wire, "parse", noted)
    running.server.call(count_turns())
    body = chat("x" * inference.LARGE_BYTES).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {running.api_key}\r\n"
    connections = [wire(running.url) for _ in range(4)]
    for each in connections:
        each.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:-1])
    for each in connections:
        each.send(body[-1:])
    all_sent.set()
    for each in connections:
        assert "context_length_exceeded" in each.answer()
    over.set()
    assert len(set(read)) == len(read) == 4, read
