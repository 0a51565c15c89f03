"""What happens around an answer: clients that leave or read slowly, silence, and the server's own end."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable

import httpx
import pytest

from lightphon_core import Job
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, event, says, usage

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait for another thread to make `condition` true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


class Held:
    """A reply that begins at once and then waits for `go`; `begun` is set once it has begun."""

    def __init__(self, *first: bytes) -> None:
        self.first = first
        self.begun = threading.Event()
        self.go = threading.Event()

    async def __call__(self, job: Job) -> AsyncGenerator[bytes, None]:
        for data in self.first:
            yield data
        self.begun.set()
        while not self.go.is_set():
            await asyncio.sleep(0.005)
        yield chunk({"content": "end"}) + chunk(finish="stop") + usage(1, 1) + event("[DONE]")


def raw_post(running, body: dict) -> socket.socket:
    """A request whose answer is read, or not, by hand."""
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {running.api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    host, port = running.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=10)
    client.sendall(head.encode() + content)
    return client


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("first", [(), (chunk({"content": "begun"}),)], ids=["before output", "after output"])
def test_a_client_that_leaves_ends_the_work(start_server, stream, first):
    held = Held(*first)
    backend = ScriptedBackend(held)
    running = start_server(plugin_of(backend))
    client = raw_post(running, {**BODY, "stream": stream})
    assert held.begun.wait(10)
    if stream and first:
        received = b""
        while b"begun" not in received:
            received += client.recv(65536)
    client.close()
    until(lambda: backend.closed, timeout_s=2)
    assert backend.load()["scripted/test-model"].busy == 0


def test_a_client_that_leaves_while_it_sends_is_no_fault_of_ours(start_server, caplog):
    running = start_server(plugin_of(ScriptedBackend(says("x"))))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {running.api_key}\r\n"
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(head.encode() + b'content-length: 100\r\n\r\n{"model":')
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
    running.server.stop()
    assert "'status': 499" in caplog.text
    assert "ERROR" not in caplog.text


def test_a_backend_that_fails_while_it_is_closed_does_not_keep_the_stream_open(start_server, caplog):
    async def endless(job: Job) -> AsyncGenerator[bytes, None]:
        try:
            yield chunk({"content": "begun"})
            yield chunk({"content": "much " * 100})
            yield b""
        finally:
            raise RuntimeError("broken")

    running = start_server(plugin_of(ScriptedBackend(endless)), limits={"max_unread_bytes": 500})
    headers = {"authorization": f"Bearer {running.api_key}"}
    # What comes is over the limit, whoever reads: the gateway closes the backend.
    reply = httpx.post(running.url + "/v1/chat/completions", json={**BODY, "stream": True}, headers=headers, timeout=10)
    assert "begun" in reply.text
    assert "[DONE]" not in reply.text
    running.server.stop()
    assert "a backend raised what its port does not allow" in caplog.text
    assert "background task failed" not in caplog.text


def test_a_client_that_does_not_read_is_given_up(start_server):
    async def endless(job: Job) -> AsyncGenerator[bytes, None]:
        while True:
            yield chunk({"content": "x" * 10_000})
            await asyncio.sleep(0)

    backend = ScriptedBackend(endless)
    running = start_server(plugin_of(backend), limits={"max_unread_bytes": 100_000})
    client = raw_post(running, {**BODY, "stream": True})
    until(lambda: backend.closed)
    client.close()


def test_silence_is_filled_and_only_then_is_the_status_sent(start_server):
    held = Held()
    running = start_server(plugin_of(ScriptedBackend(held)), limits={"keep_alive_s": 0.05})
    headers = {"authorization": f"Bearer {running.api_key}"}
    with httpx.stream(
        "POST", running.url + "/v1/chat/completions", json={**BODY, "stream": True}, headers=headers
    ) as reply:
        lines = reply.iter_lines()
        assert reply.status_code == 200
        assert reply.headers["x-accel-buffering"] == "no"
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert next(lines) == ": keep-alive"
        held.go.set()
        rest = "\n".join(lines)
    assert '"content":"end"' in rest
    assert rest.rstrip().endswith("data: [DONE]")


def test_a_failure_after_silence_is_told_in_the_stream(start_server):
    failed = threading.Event()

    async def fails(job: Job) -> AsyncGenerator[bytes, None]:
        while not failed.is_set():
            await asyncio.sleep(0.005)
        raise RuntimeError("broken")
        yield b""

    running = start_server(plugin_of(ScriptedBackend(fails)), limits={"keep_alive_s": 0.05})
    headers = {"authorization": f"Bearer {running.api_key}"}
    with httpx.stream(
        "POST", running.url + "/v1/chat/completions", json={**BODY, "stream": True}, headers=headers
    ) as reply:
        lines = reply.iter_lines()
        assert next(lines) == ": keep-alive"
        failed.set()
        rest = "\n".join(lines)
    assert '"code":"no_nodes_available"' in rest
    assert "[DONE]" not in rest


def test_an_answer_that_takes_too_long_is_ended(start_server):
    backend = ScriptedBackend(Held(chunk({"content": "begun"})))
    running = start_server(plugin_of(backend), limits={"total_timeout_s": 0.3})
    headers = {"authorization": f"Bearer {running.api_key}"}
    streamed = httpx.post(running.url + "/v1/chat/completions", json={**BODY, "stream": True}, headers=headers)
    assert '"code":"inference_timeout"' in streamed.text
    assert "[DONE]" not in streamed.text
    whole = httpx.post(running.url + "/v1/chat/completions", json=BODY, headers=headers)
    assert whole.status_code == 504
    assert len(backend.closed) == 2


def test_a_server_that_stops_ends_streams_in_an_error(start_server):
    held = Held(chunk({"content": "begun"}))
    backend = ScriptedBackend(held)
    running = start_server(plugin_of(backend))
    client = raw_post(running, {**BODY, "stream": True})
    assert held.begun.wait(10)
    running.server.stop()
    received = b""
    while data := client.recv(65536):
        received += data
    client.close()
    assert b"[DONE]" not in received
    assert len(backend.closed) == 1


def test_a_server_that_stops_lets_answers_finish_first(start_server):
    held = Held(chunk({"content": "begun"}))
    running = start_server(plugin_of(ScriptedBackend(held)))
    client = raw_post(running, {**BODY, "stream": True})
    assert held.begun.wait(10)
    stopping = threading.Thread(target=running.server.stop)
    stopping.start()
    until(lambda: running.server.gateway.closing)
    held.go.set()
    received = b""
    while data := client.recv(65536):
        received += data
    client.close()
    stopping.join()
    assert b"[DONE]" in received


def test_many_at_once_do_not_mix(start_server):
    async def echo(job: Job) -> AsyncGenerator[bytes, None]:
        word = json.loads(job.body)["messages"][0]["content"]
        for piece in word:
            yield chunk({"content": piece})
            await asyncio.sleep(0)
        yield chunk(finish="stop")

    running = start_server(plugin_of(ScriptedBackend(echo, slots=100)))

    async def ask(client: httpx.AsyncClient, word: str) -> None:
        body = {"model": "auto", "messages": [{"role": "user", "content": word}]}
        reply = await client.post("/v1/chat/completions", json=body)
        assert reply.json()["choices"][0]["message"]["content"] == word

    async def all_of_them() -> None:
        headers = {"authorization": f"Bearer {running.api_key}"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=30) as client:
            await asyncio.gather(*(ask(client, f"word-{number}") for number in range(60)))

    asyncio.run(all_of_them())


def test_nothing_of_a_request_reaches_the_log_or_the_disk(start_server, tmp_path, capfd):
    from lightphon_core import log
    from lightphon_core.settings import LogSettings

    log.configure(LogSettings(level="debug"))
    prompt, answer = "CANARY-PROMPT-7f3a", "CANARY-ANSWER-9b1c"
    running = start_server(plugin_of(ScriptedBackend(says(answer))))
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "user": "CANARY-USER", prompt: prompt}
    for path, headers in (
        ("/v1/chat/completions", {"authorization": f"Bearer {running.api_key}"}),
        (f"/api/agent/{running.agent_token}/v1/chat/completions?q={prompt}", {}),
        ("/v1/chat/completions", {"authorization": f"Bearer {running.api_key}x"}),
    ):
        for stream in (True, False):
            httpx.post(running.url + path, json={**body, "stream": stream}, headers=headers)
            httpx.post(running.url + path, json={**body, "stream": stream, "messages": prompt}, headers=headers)
    running.server.stop()
    captured = capfd.readouterr()
    logged = captured.out + captured.err
    assert "inference" in logged
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for canary in (prompt, answer, "CANARY-USER", running.api_key, running.agent_token):
        assert canary not in logged
        assert canary.encode() not in stored
