"""`Upstream` against servers that misbehave in ways llama.cpp does not."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from lightphon_backend_gguf.node.serving.failures import failure
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.node.serving.upstream import Upstream
from lightphon_backend_gguf.protocol.messages import JobFailed

Answer = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@asynccontextmanager
async def server(answer: Answer) -> AsyncGenerator[Endpoint, None]:
    """A server that reads each request and leaves the rest to `answer(head, reader, writer)`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await answer(head, reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    async with listening:
        yield Endpoint(url=f"http://{host}:{port}", key="secret", model="m")


async def collect(endpoint: Endpoint, timeout_s: float = 5) -> bytes:
    async with Upstream() as upstream, asyncio.timeout(10):
        return b"".join([part async for part in upstream.post(endpoint, "/v1/x", b"{}", timeout_s=timeout_s)])


async def failed(endpoint: Endpoint, timeout_s: float = 5) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        await collect(endpoint, timeout_s)
    return caught.value


async def test_parts_are_passed_on_as_they_arrive() -> None:
    go_on = asyncio.Event()

    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert head.startswith(b"POST /v1/x HTTP/1.1\r\n")
        assert b"authorization: bearer secret\r\n" in head.lower()
        writer.write(OK + b"5\r\nfirst\r\n")
        await go_on.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")

    async with server(answer) as endpoint, Upstream() as upstream, asyncio.timeout(5):
        parts = upstream.post(endpoint, "/v1/x", b"{}", timeout_s=5)
        assert await anext(parts) == b"first"
        go_on.set()
        assert [part async for part in parts] == [b"second"]


@pytest.mark.parametrize("beginning", [b"", OK + b"5\r\nfirst\r\n"], ids=["before the answer", "within the answer"])
async def test_cancelling_closes_the_connection_at_once(beginning: bytes) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(beginning)
        asked.set()
        assert await reader.read() == b""
        closed.set()

    async with server(answer) as endpoint, Upstream() as upstream, asyncio.timeout(5):

        async def consume() -> None:
            async for _ in upstream.post(endpoint, "/v1/x", b"{}", timeout_s=60):
                pass

        job = asyncio.create_task(consume())
        await asked.wait()
        job.cancel()
        await asyncio.wait_for(closed.wait(), 1)
        with pytest.raises(asyncio.CancelledError):
            await job


async def test_no_job_comes_second_on_a_connection() -> None:
    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"connection: close\r\n" in head.lower()
        writer.write(OK + b"5\r\nwhole\r\n0\r\n\r\n")
        await reader.read()  # hangs up only on whatever comes next

    async with server(answer) as endpoint, Upstream() as upstream, asyncio.timeout(5):
        for _ in range(3):
            assert [part async for part in upstream.post(endpoint, "/v1/x", b"{}", timeout_s=5)] == [b"whole"]


async def test_an_answer_that_breaks_off_is_unavailable() -> None:
    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"5\r\nfirst\r\n")

    async with server(answer) as endpoint:
        assert (await failed(endpoint)).kind == "unavailable"


async def test_a_silent_engine_times_out() -> None:
    done = asyncio.Event()

    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()

    async with server(answer) as endpoint:
        failure = await failed(endpoint, timeout_s=0.1)
        assert (failure.kind, "max_tokens" in failure.message) == ("timed_out", True)
        done.set()


async def test_an_engine_that_drips_times_out_too() -> None:
    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        while not writer.is_closing():
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async with server(answer) as endpoint:
        assert (await failed(endpoint, timeout_s=0.2)).kind == "timed_out"


async def test_redirects_are_not_followed_and_proxies_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    requests = 0

    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        writer.write(b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /v1/y\r\ncontent-length: 0\r\n\r\n")

    async with server(answer) as endpoint:
        assert (await failed(endpoint)).kind == "unavailable"
    assert requests == 1


async def test_nobody_listens() -> None:
    assert (await failed(Endpoint(url="http://127.0.0.1:9", key="", model="m"))).kind == "unavailable"


async def test_an_endless_error_body_is_cut() -> None:
    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()

    async with server(answer) as endpoint:
        assert (await failed(endpoint, timeout_s=30)).kind == "refused"


def error(message: str, **more: object) -> bytes:
    return json.dumps({"error": {"message": message, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, error("Bad"), "refused"),
        (404, b"<html>", "refused"),
        (413, b"[]", "refused"),
        (422, b'{"error": "a string"}', "refused"),
        (429, error("Busy"), "overloaded"),
        (503, error("Loading model"), "overloaded"),
        (401, error("Invalid API key"), "unavailable"),
        (500, error("out of memory"), "unavailable"),
        (500, error("image input is not supported - hint: mmproj"), "refused"),
        (502, b"\xff\xfe", "unavailable"),
        (204, b"", "unavailable"),
    ],
)
def test_what_a_status_means(status: int, answer: bytes, kind: str) -> None:
    assert failure(status, answer, b"{}").kind == kind


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("1.5", 1.5), ("Wed, 21 Oct 2026", None), (None, None)])
def test_how_long_to_wait(value: str | None, seconds: float | None) -> None:
    assert failure(503, b"", b"{}", value).retry_after == seconds


def test_messages_are_one_bounded_line_without_quotations() -> None:
    request = json.dumps({"messages": [{"role": "user", "content": "my bank's pin is 1234, keep it"}]}).encode()
    assert failure(400, error("Field 'n':\n too\tlarge"), request).message == "Field 'n': too large"
    assert len(failure(400, error("long " * 1000), request).message) <= 300
    for message in ("near: my bank's pin is 1234", "last read: 'my bank's\n pin is 1234, keep'"):
        assert failure(400, error(message), request).message == "The engine refused the request."
