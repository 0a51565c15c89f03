"""The edge over real sockets: hosts, clients behind proxies, CORS, request ids and log lines, readiness, metrics."""

import asyncio
import json
import socket
import threading
from types import SimpleNamespace

import httpx
import pytest
from litestar import WebSocket, websocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lightphon_core import Authenticator, Job, Principal, Scope
from lightphon_core.settings import AccountSettings, Secret, ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, says
from lightphon_core.web.monitoring import health

HELLO = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}
PATIENCE_S = 20


class Clients(Authenticator):
    """Knows the key "who", and notes from where it came."""

    name = "clients"

    def __init__(self):
        self.seen = []

    async def authenticate(self, credentials):
        if credentials.bearer != "who":
            return None
        self.seen.append(credentials.client)
        return Principal("acc_who", "cred_who", frozenset({Scope.INFERENCE}))


@websocket("/api/socket")
async def socket_route(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(socket.client.host)
    await socket.close()


def server(**settings):
    return {"server": ServerSettings(**settings)}


def ask(running, path="/v1/chat/completions", **headers):
    headers = {"authorization": f"Bearer {running.api_key}", **headers}
    return httpx.post(running.url + path, json=HELLO, headers=headers, timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def plain(run_server, routes, tmp_path_factory):
    """A server with no settings of its own, which tests leave as it was."""
    source = plugin_of(ScriptedBackend(says("x")))
    with run_server(tmp_path_factory.mktemp("plain"), source, routes(socket_route)) as running:
        yield running


class TestHosts:
    def test_a_name_that_is_not_ours(self, plain, wire):
        running = plain
        for path in ("/v1/models", "/api/account", "/metrics", "/nothing"):
            reply = httpx.get(running.url + path, headers={"host": "rebound.example"})
            assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unknown_host"), path
            assert reply.json()["error"]["type"] == "invalid_request_error"
            assert "allowed_hosts of [server]" in reply.json()["error"]["message"]
            assert reply.headers["x-request-id"].startswith("req_")
        for path in ("/healthz", "/readyz"):
            assert httpx.get(running.url + path, headers={"host": "10.0.0.5.probe"}).status_code == 200
        for hosts in ("", "host: localhost\r\nhost: localhost\r\n"):
            connection = wire(running.url)
            connection.send(f"GET /v1/models HTTP/1.1\r\n{hosts}\r\n")
            assert "400 Bad Request" in (answer := connection.answer())
            assert "does not say which host" in answer
        assert ask(running, host="localhost:9").status_code == 200

    def test_websockets_too(self, plain):
        url = plain.url.replace("http:", "ws:") + "/api/socket"
        with connect(url) as opened:
            assert opened.response.headers["x-request-id"].startswith("req_")
            assert opened.recv(PATIENCE_S) == "127.0.0.1"
        to_it = socket.create_connection(("127.0.0.1", int(plain.url.rpartition(":")[2])), timeout=PATIENCE_S)
        with to_it, pytest.raises(InvalidStatus) as refused:
            connect("ws://rebound.example/api/socket", sock=to_it)
        assert refused.value.response.status_code == 400
        assert b"'rebound.example'" in refused.value.response.body

    def test_a_page_of_a_rebound_name_cannot_log_in(self, plain):
        rebound = {"host": "rebound.example", "origin": "http://rebound.example"}
        body = {"name": "eve", "password": "correct horse battery"}
        reply = httpx.post(f"{plain.url}/api/account/login", json=body, headers=rebound)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unknown_host")


class TestProxies:
    def test_the_client_counts_as_itself_behind_a_proxy_that_is_trusted(self, start_server, routes):
        clients = Clients()
        running = start_server(plugin_of(clients), routes(socket_route), **server(trusted_proxies=("127.0.0.1",)))
        who = {"authorization": "Bearer who"}
        for forwarded in (None, "203.0.113.9", "6.6.6.6, 203.0.113.9", "rubbish"):
            headers = who if forwarded is None else {**who, "x-forwarded-for": forwarded}
            httpx.get(f"{running.url}/v1/models", headers=headers).raise_for_status()
        assert clients.seen == ["127.0.0.1", "203.0.113.9", "203.0.113.9", "127.0.0.1"]
        url = running.url.replace("http:", "ws:") + "/api/socket"
        with connect(url, additional_headers={"x-forwarded-for": "203.0.113.9"}) as socket:
            assert socket.recv(PATIENCE_S) == "203.0.113.9"

    def test_others_are_not_believed(self, start_server):
        clients = Clients()
        running = start_server(plugin_of(clients), **server(trusted_proxies=("192.0.2.1",)))
        headers = {"authorization": "Bearer who", "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
        httpx.get(f"{running.url}/v1/models", headers=headers).raise_for_status()
        assert clients.seen == ["127.0.0.1"]

    def test_log_in_attempts_are_counted_by_it(self, start_server):
        accounts = AccountSettings(logins_per_minute_per_address=2)
        running = start_server(accounts=accounts, **server(trusted_proxies=("127.0.0.1",)))

        def attempt(client, name):
            body = {"name": name, "password": "wrong"}
            headers = {"x-forwarded-for": f"6.6.6.6, {client}"}
            return httpx.post(f"{running.url}/api/account/login", json=body, headers=headers).status_code

        assert [attempt("203.0.113.9", f"n{number}") for number in range(3)] == [401, 401, 429]
        assert attempt("203.0.113.10", "n0") == 401

    def test_a_page_behind_tls_is_our_own(self, start_server):
        running = start_server(accounts=AccountSettings(registration="open"), **server(trusted_proxies=("127.0.0.1",)))
        body = {"name": "alice", "password": "correct horse battery"}
        headers = {"host": "localhost", "origin": "https://localhost"}
        url = f"{running.url}/api/account/register"
        assert httpx.post(url, json=body, headers=headers).json()["error"]["code"] == "wrong_origin"
        assert httpx.post(url, json=body, headers={**headers, "x-forwarded-proto": "https"}).status_code == 200


class TestCors:
    def test_inference_is_open_and_nothing_else(self, plain):
        running = plain
        origin = {"origin": "https://app.example"}
        for reply in (ask(running, **origin), httpx.get(f"{running.url}/models", headers=origin)):
            assert reply.headers["access-control-allow-origin"] == "*"
            assert {"x-request-id", "retry-after", "x-ratelimit-remaining-tokens"} <= set(
                reply.headers["access-control-expose-headers"].split(", ")
            )
            assert "access-control-allow-credentials" not in reply.headers
        assert "access-control-allow-origin" not in ask(running).headers
        preflight = {
            **origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        for path in ("/api/account", "/api/account/login", "/api/wallet", "/metrics", "/healthz", "/nothing"):
            for reply in (
                httpx.get(running.url + path, headers=origin),
                httpx.options(running.url + path, headers=preflight),
            ):
                assert not [name for name in reply.headers if name.startswith("access-control-")], path

    def test_preflights_are_answered_without_a_key_and_kept(self, plain):
        running = plain
        for path in ("/v1/chat/completions", "/api/agent/at_x/chat/completions", "/models"):
            headers = {
                "origin": "https://app.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,x-stainless-lang",
            }
            reply = httpx.options(running.url + path, headers=headers)
            assert reply.status_code == 204
            assert reply.headers["access-control-allow-headers"] == "authorization,x-stainless-lang"
            assert "POST" in reply.headers["access-control-allow-methods"]
            assert int(reply.headers["access-control-max-age"]) >= 7200
            assert reply.headers["x-request-id"]


def test_every_answer_has_an_id_and_a_line(start_server, routes, wire, caplog):
    running = start_server(routes(socket_route))
    caplog.clear()
    ids = [
        httpx.get(running.url + path).headers["x-request-id"]
        for path in ("/nothing/else", "/v1/nothing", "/v1/models", "/healthz", "/api/agent/at_x/models")
    ]
    ids.append(httpx.delete(f"{running.url}/v1/chat/completions").headers["x-request-id"])
    with connect(running.url.replace("http:", "ws:") + "/api/socket") as socket:
        ids.append(socket.response.headers["x-request-id"])
        socket.recv(PATIENCE_S)
    running.server.stop()
    lines = {record.msg["request_id"]: record.msg for record in caplog.records if record.msg["event"] == "request"}
    assert list(lines) == ids
    assert [(line["method"], line["path"], line["status"]) for line in lines.values()] == [
        ("GET", "/-/-", 404),
        ("GET", "/v1/-", 404),
        ("GET", "/v1/models", 401),
        ("GET", "/healthz", 200),
        ("GET", "/api/agent/{token}/models", 401),
        ("DELETE", "/v1/chat/completions", 405),
        ("WEBSOCKET", "/api/socket", 101),
    ]


class TestReadiness:
    def test_it_follows_the_database_and_asks_it_once(self, start_server, monkeypatch):
        running = start_server()
        assert httpx.get(f"{running.url}/readyz").json() == {"status": "ready"}
        monkeypatch.setattr(health, "TIMEOUT_S", 0.05)
        entered, opened = threading.Event(), threading.Event()
        writes = []

        def hold(connection):
            entered.set()
            assert opened.wait(PATIENCE_S)

        async def held():
            return asyncio.ensure_future(running.server.database.write(hold))

        original = health.write_probe
        monkeypatch.setattr(health, "write_probe", lambda connection: writes.append(original(connection)))
        task = running.server.call(held())
        assert entered.wait(PATIENCE_S)
        for _ in range(3):
            reply = httpx.get(f"{running.url}/readyz")
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "not_ready")
            assert "did not take a write" in reply.json()["error"]["message"]
            assert reply.headers["retry-after"] == "1"
        opened.set()
        running.server.call(asyncio.wait_for(asyncio.shield(task), PATIENCE_S))
        monkeypatch.setattr(health, "TIMEOUT_S", PATIENCE_S)
        assert httpx.get(f"{running.url}/readyz").status_code == 200
        assert len(writes) <= 2  # the one that all three waited for, and perhaps one more

    async def test_a_prober_that_comes_back_at_once_takes_nobodys_answer_away(self):
        taken = asyncio.Event()

        class OneIsTaken:
            async def write(self, function):
                del function
                await taken.wait()
                taken.clear()  # the next one has to wait

        readiness = health.Readiness(SimpleNamespace(closing=False), OneIsTaken())

        async def again():
            await readiness.check()
            await readiness.check()

        eager, other = asyncio.create_task(again()), asyncio.create_task(readiness.check())
        await asyncio.sleep(0)
        taken.set()
        async with asyncio.timeout(PATIENCE_S):
            await other
            taken.set()
            await eager

    def test_a_server_that_stops_is_not_ready(self, start_server):
        running = start_server()

        async def closing():
            running.server.gateway.closing = True

        running.server.call(closing())
        reply = httpx.get(f"{running.url}/readyz")
        assert (reply.status_code, "stopping" in reply.text) == (503, True)
        assert httpx.get(f"{running.url}/healthz").status_code == 200


class TestMetrics:
    TOKEN = "metrics-token-0123456789"

    def read(self, running, token=TOKEN):
        return httpx.get(f"{running.url}/metrics", headers={"authorization": f"Bearer {token}"})

    def test_only_its_own_token_opens_it(self, start_server, run_server, tmp_path):
        running = start_server(**server(metrics_token=Secret(self.TOKEN)))
        assert self.read(running).status_code == 200
        assert self.read(running).headers["content-type"].startswith("text/plain; version=0.0.4")
        for token in (self.TOKEN[:-1], self.TOKEN + "x", running.api_key, running.node_token):
            reply = self.read(running, token)
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert "lightphon_" not in reply.text
        assert httpx.get(f"{running.url}/metrics").status_code == 401
        with run_server(tmp_path / "other") as other:
            reply = self.read(other)
            assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_url")

    def test_what_an_operator_sees(self, start_server):
        go = threading.Event()

        async def reply(job: Job):
            yield chunk({"content": "begun"})
            if b"wait" in job.body:
                assert await asyncio.to_thread(go.wait, PATIENCE_S)
            yield chunk(finish="stop")

        running = start_server(plugin_of(ScriptedBackend(reply)), **server(metrics_token=Secret(self.TOKEN)))
        ask(running).raise_for_status()
        httpx.get(f"{running.url}/secret-path")
        body = {**HELLO, "stream": True, "messages": [{"role": "user", "content": "wait"}]}
        headers = {"authorization": f"Bearer {running.api_key}"}
        with httpx.stream("POST", f"{running.url}/chat/completions", json=body, headers=headers) as stream:
            lines = stream.iter_lines()
            assert json.loads(next(lines).removeprefix("data: "))["choices"]
            page = self.read(running).text
            assert "lightphon_open_streams 1\n" in page
            assert "lightphon_holds_open 1\n" in page
            go.set()
            assert list(lines)[-2] == "data: [DONE]"
        page = self.read(running).text
        for line in (
            'lightphon_http_requests_total{route="/v1/chat/completions",method="POST",status="2xx"} 1',
            'lightphon_http_requests_total{route="unmatched",method="GET",status="4xx"} 1',
            'lightphon_inference_total{model="test-model",outcome="ok"} 2',
            'lightphon_tokens_total{model="test-model",kind="completion"}',
            'lightphon_first_output_seconds_count{model="test-model"} 2',
            'lightphon_inference_seconds_bucket{model="test-model",le="+Inf"} 2',
            "lightphon_nodes_online 1",
            "lightphon_offers_online 1",
            "lightphon_database_writes_lost_total 0",
            'lightphon_build_info{version="',
        ):
            assert line in page, page
        for hidden in ("cred_", "acc_", running.api_key, "secret-path", "scripted-node"):
            assert hidden not in page
