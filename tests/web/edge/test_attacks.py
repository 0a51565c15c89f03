"""Attacks on the wire: bodies too large, bodies and heads that trickle, heads without end. And a database that is
locked or gone."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
import threading

import httpx
import psycopg
import pytest
from litestar import Request, WebSocket, post, websocket
from websockets.sync.client import connect

from lightphon_core.settings import ServerSettings, StorageSettings
from lightphon_core.storage import postgresql, sqlite
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, says
from lightphon_core.web.edge import protocol

PATIENCE_S = 20
HELLO = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}


@post("/api/plugin/body", status_code=200)
async def body_route(request: Request) -> str:
    return str(len(await request.body()))


@websocket("/api/echo")
async def echo_route(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


def head(running, path="/v1/chat/completions", *more):
    lines = [f"POST {path} HTTP/1.1", "host: localhost", f"authorization: Bearer {running.api_key}", *more]
    return "\r\n".join(lines) + "\r\n\r\n"


def ask(running):
    headers = {"authorization": f"Bearer {running.api_key}"}
    return httpx.post(f"{running.url}/v1/chat/completions", json=HELLO, headers=headers, timeout=PATIENCE_S)


class TestBodies:
    READERS = ("/v1/chat/completions", "/api/account/login", "/api/account/register", "/api/plugin/body")

    @pytest.fixture
    def start(self, start_server, routes):
        def start(**settings):
            backend = ScriptedBackend(says("x"))
            running = start_server(plugin_of(backend), routes(body_route), server=ServerSettings(**settings))
            return running, backend

        return start

    def test_too_large_at_every_route_that_reads_one(self, start, wire):
        running, backend = start(max_body_bytes=20_000)
        for path in self.READERS:
            declared = wire(running.url)
            declared.send(head(running, path, "content-length: 20001") + "x" * 20_001)
            chunked = wire(running.url)
            chunked.send(head(running, path, "transfer-encoding: chunked") + f"4e20\r\n{'x' * 20_000}\r\n1\r\nx\r\n")
            for connection in (declared, chunked):
                assert "request_too_large" in (answer := connection.answer()), path
                assert answer.startswith("HTTP/1.1 413 "), path
        assert httpx.post(f"{running.url}/api/plugin/body", content=b"x" * 20_000).text == "20000"
        assert backend.jobs == []

    def test_one_that_trickles_is_given_up_and_costs_nobody_else_anything(self, start, wire):
        running, backend = start(body_timeout_s=0.4)
        connections = []
        for path in self.READERS:
            connections.append(wire(running.url))
            connections[-1].send(head(running, path, "content-length: 1000") + '{"m')
        assert ask(running).status_code == 200
        for connection in connections:
            connection.trickle(b"x" * 900)
            answer = connection.rest().decode()
            assert answer.startswith("HTTP/1.1 408 ")
            assert "connection: close" in answer
            assert "request_timeout" in answer
            assert "x-request-id: req_" in answer
        assert len(backend.jobs) == 1


patient = ScriptedBackend(says("x"))


@pytest.fixture(scope="class")
def impatient(run_server, routes, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "HEAD_TIMEOUT_S", 0.4)
        with run_server(tmp_path_factory.mktemp("heads"), plugin_of(patient), routes(echo_route)) as running:
            yield running


class TestHeads:
    def test_one_that_trickles_is_given_up(self, impatient, wire):
        connection = wire(impatient.url)
        connection.send("POST /v1/chat/completions HTTP/1.1\r\nhost: loc")
        connection.trickle(b"a" * 900)
        assert connection.rest().startswith(b"HTTP/1.1 408 ")
        assert ask(impatient).status_code == 200

    def test_a_connection_that_says_nothing_is_closed(self, impatient, wire):
        assert wire(impatient.url).rest() == b""

    def test_the_second_on_a_connection_too(self, impatient, wire):
        connection = wire(impatient.url)
        connection.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert "200 OK" in connection.answer()
        connection.trickle(b"GET /healthz HTTP/1.1\r\nx: " + b"a" * 900)
        assert connection.rest().startswith(b"HTTP/1.1 408 ")

    def test_a_body_that_nobody_wanted_cannot_go_on_for_ever(self, impatient, wire):
        connection = wire(impatient.url)
        connection.send("POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n")
        assert "401 Unauthorized" in connection.answer()
        connection.trickle(b"x" * 900)
        assert connection.rest() == b""

    def test_answers_and_sockets_may_take_longer(self, impatient, wire, monkeypatch):
        go = threading.Event()

        async def reply(job):
            assert await asyncio.to_thread(go.wait, PATIENCE_S)
            yield chunk({"content": "late"}, finish="stop")

        monkeypatch.setattr(patient, "reply", reply)
        asked = wire(impatient.url)
        asked.send(
            head(impatient, "/v1/chat/completions", f"content-length: {len(json.dumps(HELLO))}") + json.dumps(HELLO)
        )
        with connect(impatient.url.replace("http:", "ws:") + "/api/echo") as socket:
            assert wire(impatient.url).rest() == b""  # one that came later and said nothing is closed by now
            socket.send("still here")
            assert socket.recv(PATIENCE_S) == "still here"
        go.set()
        assert "late" in asked.answer()

    @pytest.mark.parametrize(
        "lines",
        [
            ["content-length: 4", "transfer-encoding: chunked"],
            ["content-length: 4", "content-length: 30"],
            ["content-length: +4"],
            ["content-length: -1"],
            ["content-length : 4"],
            ["content-length: 99999999999999999999999"],
            ["transfer-encoding: xchunked"],
            ["x: folded", " content-length: 4"],
            ["x: cut\0off", "content-length: 4"],
        ],
    )
    def test_whose_body_a_proxy_in_front_could_end_elsewhere(self, impatient, wire, lines):
        """Or what one reader takes for a body another would take for the next request, in somebody else's name."""
        connection = wire(impatient.url)
        connection.send(head(impatient, "/v1/chat/completions", *lines))
        connection.send("0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answers = connection.rest()
        assert answers.startswith(b"HTTP/1.1 400 ")
        assert answers.count(b"HTTP/1.1") == 1

    def test_without_end(self, impatient, wire):
        connection = wire(impatient.url)
        connection.send(f"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {'a' * 60_000}\r\n\r\n")
        assert "200 OK" in connection.answer()
        for endless in ("GET /healthz HTTP/1.1\r\nx: ", "GET /"):
            connection = wire(impatient.url)
            connection.send(endless + "a" * 70_000)
            assert connection.rest().startswith(b"HTTP/1.1 431 ")
        trailers = wire(impatient.url)
        trailers.send(head(impatient, "/v1/chat/completions", "transfer-encoding: chunked") + "1\r\n{\r\n0\r\n")
        with contextlib.suppress(ConnectionError):
            trailers.send("x: y\r\n" * 500_000)
        assert trailers.rest() == b""
        assert ask(impatient).status_code == 200


def unavailable(running):
    """Whether requests, readiness and log-ins say that the database is away."""
    reply, ready = ask(running), httpx.get(f"{running.url}/readyz", timeout=PATIENCE_S)
    assert ready.status_code == reply.status_code, (ready.text, reply.text)
    if reply.status_code == 200:
        return False
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "storage_unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    assert ready.json()["error"]["code"] == "not_ready"
    assert httpx.get(f"{running.url}/healthz").status_code == 200
    somebody = {"name": "somebody", "password": "correct horse battery"}
    log_in = httpx.post(f"{running.url}/api/account/login", json=somebody, timeout=PATIENCE_S)
    assert (log_in.status_code, log_in.json()["error"]["code"]) == (503, "storage_unavailable")
    assert "set-cookie" not in log_in.headers
    return True


@pytest.fixture(scope="class")
def on_sqlite(run_server, tmp_path_factory):
    """On SQLite; each test leaves it as it was."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "BUSY_TIMEOUT_MS", 10)
        with run_server(tmp_path_factory.mktemp("database") / "data", plugin_of(ScriptedBackend(says("x")))) as running:
            yield running


class TestDatabase:
    def test_locked_by_another_program(self, on_sqlite):
        assert not unavailable(on_sqlite)
        other = sqlite3.connect(on_sqlite.server.database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert unavailable(on_sqlite)
        other.execute("ROLLBACK")
        other.close()
        assert not unavailable(on_sqlite)

    def test_its_directory_moved_away_and_back(self, on_sqlite):
        data = on_sqlite.server.database.path.parent
        assert not unavailable(on_sqlite)
        data.rename(data.with_name("away"))
        assert unavailable(on_sqlite)
        assert not data.exists()
        data.with_name("away").rename(data)
        assert not unavailable(on_sqlite)

    def test_its_file_replaced(self, on_sqlite):
        path = on_sqlite.server.database.path
        path.rename(path.with_name("original"))
        shutil.copyfile(path.with_name("original"), path)
        assert unavailable(on_sqlite)
        path.with_name("original").replace(path)
        assert not unavailable(on_sqlite)

    def test_a_postgresql_where_another_program_keeps_the_writers_turn(self, start_server, postgres, monkeypatch):
        monkeypatch.setitem(postgresql._WRITER, "lock_timeout", 100)
        url = postgres.create()
        with Database(url) as database:
            migrate(database)
        running = start_server(plugin_of(ScriptedBackend(says("x"))), storage=StorageSettings(url=url))
        assert not unavailable(running)
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SELECT pg_advisory_lock(%s)", [postgresql.WRITERS_TURN])
            assert unavailable(running)
        assert not unavailable(running)
        running.server.stop()
        postgres.drop(url)

    def test_a_postgresql_that_went_away(self, start_server, postgres):
        url = postgres.create()
        with Database(url) as database:
            migrate(database)
        running = start_server(plugin_of(ScriptedBackend(says("x"))), storage=StorageSettings(url=url))
        assert not unavailable(running)
        postgres.stop()
        try:
            assert unavailable(running)
        finally:
            postgres.start()
        assert not unavailable(running)
        running.server.stop()
        postgres.drop(url)
