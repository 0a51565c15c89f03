"""One line in the log for each request, however it ends."""

import asyncio
import contextlib
import json
import threading
from collections import Counter

import httpx
from litestar import WebSocket, websocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lightphon_core.settings import ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk

PATIENCE_S = 20
CHAT = "/v1/chat/completions"


@websocket("/api/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())


def test_one_line_for_each(start_server, routes, wire, caplog):
    begun, left = threading.Event(), threading.Event()

    async def reply(job):
        yield chunk({"content": "begun"})
        begun.set()
        if b"wait" in job.body:
            try:
                await asyncio.sleep(3600)
            finally:
                left.set()
        if b"fail" in job.body:
            raise RuntimeError("no")
        yield chunk(finish="stop")

    server = ServerSettings(max_body_bytes=10_000, body_timeout_s=0.2)
    running = start_server(plugin_of(ScriptedBackend(reply)), routes(echo), server=server)
    caplog.clear()
    key = {"authorization": f"Bearer {running.api_key}"}

    def body(content, **more):
        return {"model": "auto", "messages": [{"role": "user", "content": content}], **more}

    def post(path, content, **headers):
        return httpx.post(running.url + path, json=content, headers=key | headers, timeout=PATIENCE_S).status_code

    asked = Counter()

    def expect(what, *statuses):
        asked[what] += len(statuses)
        return statuses

    # Answers, whole, streamed, broken off and refused before a node is asked.
    assert (post(CHAT, body("x")), post(CHAT, body("x", stream=True))) == expect("inference", 200, 200)
    assert (post(CHAT, body("fail", stream=True)), post(CHAT, body("fail"))) == expect("inference", 200, 503)
    assert (post(CHAT, {}), post(CHAT, body("x", model="nobody's"))) == expect("request", 400, 404)
    # A client that leaves, in the middle of an answer, and before it.
    for stream in (True, False):
        begun.clear()
        left.clear()
        connection = wire(running.url)
        content = json.dumps(body("wait", stream=stream))
        head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nauthorization: {key['authorization']}\r\n"
        connection.send(f"{head}content-length: {len(content)}\r\n\r\n{content}")
        assert begun.wait(PATIENCE_S)
        connection.socket.close()
        assert left.wait(PATIENCE_S)
        asked["inference"] += 1
    # Bodies that are too large, too slow, or end too soon.
    assert post(CHAT, body("x" * 10_000)) == 413
    for path in (CHAT, "/api/account/login", "/webhooks/nobody"):
        slow = wire(running.url)
        slow.send(
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"authorization: {key['authorization']}\r\ncontent-length: 99\r\n\r\n{{"
        )
        slow.answer()
        asked["request"] += 1
    gone = wire(running.url)
    gone.send(f"{head}content-length: 99\r\n\r\n{{")
    gone.socket.close()
    asked["request"] += 2
    # Before anybody is asked who it is, pages, and what is none.
    with httpx.Client(base_url=running.url, timeout=PATIENCE_S) as client:
        for method, path, headers in (
            ("GET", "/v1/models", {}),
            ("HEAD", "/healthz", {}),
            ("OPTIONS", CHAT, {"origin": "https://x.example", "access-control-request-method": "POST"}),
            ("GET", "/v1/models", {"host": "evil.example"}),
            ("POST", "/webhooks/nobody", {}),
            ("GET", "/login", {}),
            ("GET", "/no/such/page", {"accept": "text/html"}),
            ("GET", "/assets/nothing.css", {}),
            ("GET", "/metrics", {}),
            ("GET", "/schema", {}),
        ):
            client.request(method, path, headers=headers)
            asked["request"] += 1
    # Sockets: refused, finished, and dropped.
    url = running.url.replace("http:", "ws:")
    for path in ("/nothing", "/v1/models", "/api/echo", "/api/echo"):
        with contextlib.suppress(InvalidStatus), connect(url + path) as socket:
            if not asked["dropped"]:
                socket.send("x")
                socket.recv(PATIENCE_S)
                asked["dropped"] += 1
        asked["request"] += 1
    del asked["dropped"]
    running.server.stop()
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    lines = [line for line in said if line["event"] in ("request", "inference")]
    assert set(Counter(line["request_id"] for line in lines).values()) == {1}
    assert Counter(line["event"] for line in lines) == asked
    # Servers of other tests may still ask their payment providers.
    faults = [line for line in said if line not in lines and line["logger"] != "lightphon.payments"]
    assert [line["event"] for line in faults] == ["a backend raised what its port does not allow"] * 2
