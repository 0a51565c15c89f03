"""What the documented proxies let through: streams as they come, node links, whole bodies, addresses; and what they
write down: no token."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import httpx
import pytest
from lightphon_backend_gguf.protocol import codec
from lightphon_backend_gguf.protocol.messages import SUBPROTOCOL, Hello, Welcome
from websockets.sync.client import connect

from lightphon_core.testing.scripted import chunk

from .conftest import NAME, PATIENCE_S

pytestmark = pytest.mark.proxies

HELLO = [{"role": "user", "content": "Hello!"}]
STREAM = {"model": "m", "stream": True, "messages": HELLO}


def test_chunks_arrive_one_by_one(proxied):
    steps = [threading.Event() for _ in range(4)]

    async def reply(job):
        for number, step in enumerate(steps):
            yield chunk({"content": str(number)})
            assert await asyncio.to_thread(step.wait, PATIENCE_S)
        yield chunk(finish="stop")

    proxied.backend.reply = reply
    with proxied.client() as client, client.stream("POST", "/v1/chat/completions", json=STREAM) as stream:
        lines = (line for line in stream.iter_lines() if line)
        for number, step in enumerate(steps):
            content = json.loads(next(lines).removeprefix("data: "))["choices"][0]["delta"]["content"]
            assert content == str(number)  # it is here, and the backend has not been let on yet
            step.set()
        assert list(lines)[-1] == "data: [DONE]"


def test_a_silent_stream_has_its_comments_at_once(start_behind):
    proxied = start_behind(keep_alive_s=0.1)
    over = threading.Event()

    async def reply(job):
        assert await asyncio.to_thread(over.wait, PATIENCE_S)
        yield chunk({"content": "at last"})
        yield chunk(finish="stop")

    proxied.backend.reply = reply
    with proxied.client() as client, client.stream("POST", "/v1/chat/completions", json=STREAM) as stream:
        lines = (line for line in stream.iter_lines() if line)
        for _ in range(3):
            assert next(lines).startswith(":")  # they are here, and there is no output yet
        over.set()
        assert "at last" in next(line for line in lines if not line.startswith(":"))


def test_a_hang_up_is_noticed(proxied):
    closed = threading.Event()

    async def reply(job):
        try:
            yield chunk({"content": "begun"})
            await asyncio.Event().wait()
        finally:
            closed.set()

    proxied.backend.reply = reply
    with proxied.client() as client, client.stream("POST", "/v1/chat/completions", json=STREAM) as stream:
        lines = stream.iter_lines()  # which closes the stream when it is forgotten
        assert "begun" in next(lines)
        assert not closed.is_set()
    assert closed.wait(PATIENCE_S)


def test_a_hang_up_before_the_first_output_is_noticed(proxied):
    begun, closed = threading.Event(), threading.Event()

    async def reply(job):
        try:
            begun.set()
            await asyncio.Event().wait()
            yield b""
        finally:
            closed.set()

    proxied.backend.reply = reply
    request = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {NAME}\r\nauthorization: Bearer {proxied.running.api_key}\r\n"
    )
    body = json.dumps({"model": "m", "messages": HELLO})
    with (
        socket.create_connection(("127.0.0.1", proxied.place.tls_port), timeout=PATIENCE_S) as connection,
        proxied.tls.wrap_socket(connection, server_hostname=NAME) as client,
    ):
        client.sendall(f"{request}content-length: {len(body)}\r\n\r\n{body}".encode())
        assert begun.wait(PATIENCE_S)
    assert closed.wait(PATIENCE_S)


def test_a_large_body_passes_and_touches_no_disk(proxied):
    size = 19_900_000
    messages = [{"role": "user", "content": "x" * size}]
    with proxied.client() as client:
        client.post("/v1/chat/completions", json={"model": "m", "messages": messages}).raise_for_status()
        assert len(proxied.backend.jobs[-1].body) > size
        assert [path for path in proxied.place.folder.rglob("*") if path.stat().st_size > 100_000] == []
        over = client.post("/v1/chat/completions", content=b"x" * 20_500_000)  # the proxy takes it, and we do not
        assert (over.status_code, over.json()["error"]["code"]) == (413, "request_too_large")
        far_over = client.post("/v1/chat/completions", content=b"x" * 25_000_000)  # whoever of the two refuses it
        assert far_over.status_code == 413


def test_client_addresses_are_right(proxied):
    with proxied.client(authorization="Bearer who") as client:
        for forged in (
            {},
            {"x-forwarded-for": "6.6.6.6"},
            {"x-forwarded-for": "127.0.0.1", "x-real-ip": "6.6.6.6"},
            {"x-forwarded-for": "6.6.6.6, 127.0.0.1", "forwarded": "for=6.6.6.6"},
        ):
            client.get("/v1/models", headers=forged).raise_for_status()
    assert proxied.clients.seen == ["127.0.0.2"] * 4


def test_schemes_are_right(start_behind):
    proxied = start_behind(server={"allowed_hosts": (NAME,)})  # no public_url: only the proxy knows that it is https
    with proxied.client() as client:
        answers = [
            client.post("/api/account/login", json={"name": "a", "password": "x" * 12}, headers={"origin": origin})
            for origin in (f"https://{NAME}", f"http://{NAME}")
        ]
    assert [answer.status_code for answer in answers] == [401, 403]


def test_plain_http_is_sent_on(proxied):
    plain = httpx.get(f"http://127.0.0.1:{proxied.place.plain_port}/v1/models?a=b", headers={"host": NAME})
    assert (plain.status_code, plain.headers["location"]) == (308, f"https://{NAME}/v1/models?a=b")


@pytest.mark.parametrize("start_behind", ["nginx"], indirect=True)
def test_a_challenge_of_certbot_is_answered(proxied):
    challenges = proxied.place.folder / "webroot" / ".well-known" / "acme-challenge"
    challenges.mkdir(parents=True)
    (challenges / "token").write_text("proof")
    url = f"http://127.0.0.1:{proxied.place.plain_port}/.well-known/acme-challenge/token"
    assert httpx.get(url, headers={"host": NAME}).text == "proof"


def test_other_names_are_refused(proxied):
    with proxied.client(host="rebound.example") as client:
        answer = client.get("/v1/models")
    if proxied.proxy == "nginx":
        assert answer.json()["error"]["code"] == "unknown_host"
    else:
        assert answer.content == b""  # Caddy's own answer, for a name that is no site of its


def link(proxied, sock):
    return connect(
        f"wss://{NAME}/api/node-link",
        sock=sock,
        ssl=proxied.tls,
        additional_headers={"authorization": f"Bearer {proxied.running.node_token}"},
        subprotocols=[SUBPROTOCOL],
    )


def test_node_links_pass(proxied):
    address = ("127.0.0.1", proxied.place.tls_port)
    with socket.create_connection(address, timeout=PATIENCE_S) as sock, link(proxied, sock) as node:
        node.send(codec.encode(Hello(name="box", software="test/1")))
        assert isinstance(codec.decode(node.recv(PATIENCE_S)), Welcome)


def test_a_restart_is_over_when_the_server_is_back(proxied):
    with proxied.client() as client:
        client.get("/v1/models").raise_for_status()  # a connection that the proxy keeps
        proxied.running.server.stop()
        assert client.get("/v1/models").status_code == 502
        with proxied.restarted():
            assert client.post("/v1/chat/completions", json={"model": "m", "messages": HELLO}).status_code == 200


def test_tokens_are_in_no_log_of_the_proxy(proxied):
    url = f"/api/agent/{proxied.running.agent_token}"
    with proxied.client() as client:
        referred = {"referer": f"https://{NAME}{url}"}
        assert client.get(f"{url}/v1/models", headers=referred).status_code == 200
        proxied.running.server.stop()
        assert client.get(f"{url}/v1/models", headers=referred).status_code == 502  # which is an error to the proxy
        assert client.get(f"{url}/%2e%2e/%zz", headers=referred).status_code >= 400
    httpx.get(f"http://127.0.0.1:{proxied.place.plain_port}{url}/models")
    assert proxied.running.agent_token not in proxied.logged()
    assert proxied.running.api_key not in proxied.logged()
