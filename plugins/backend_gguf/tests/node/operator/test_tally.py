"""What a node counts of its jobs."""

import asyncio

import pytest
from lightphon_backend_gguf.node.operator.tally import Tally
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.protocol.messages import JobFailed

ENDPOINT = Endpoint(url="http://127.0.0.1:1", key="", model="engine's name")


@pytest.fixture
def tally():
    return Tally(lambda endpoint: "m")


def posting(tally, *parts, error=None):
    async def post(endpoint, path, body, *, timeout_s):
        for part in parts:
            yield part
        if error:
            raise error

    return tally.counted(post)(ENDPOINT, "/v1/chat/completions", b"", timeout_s=1)


async def test_how_jobs_end(tally):
    count = tally.of("m")
    assert [part async for part in posting(tally, b"a", b"b")] == [b"a", b"b"]
    for error in (JobFailed("unavailable", ""), JobFailed("timed_out", ""), RuntimeError(), JobFailed("refused", "")):
        with pytest.raises(type(error)):
            [part async for part in posting(tally, b"a", error=error)]
    left = posting(tally, b"a", b"b")
    await anext(left)
    assert count.busy == 1
    await left.aclose()
    assert (count.busy, count.done, count.failed, count.refused, count.cancelled) == (0, 1, 3, 1, 1)


async def test_a_job_that_is_cancelled_while_it_waits_closes_the_engine(tally):
    closed = asyncio.Event()

    async def post(endpoint, path, body, *, timeout_s):
        try:
            yield b"a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def job():
        async for _ in tally.counted(post)(ENDPOINT, "", b"", timeout_s=1):
            started.set()

    started = asyncio.Event()
    task = asyncio.create_task(job())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert closed.is_set()
    assert (tally.of("m").cancelled, tally.of("m").busy) == (1, 0)


async def test_a_stream_that_is_closed_after_its_end_was_served(tally):
    whole = posting(tally, b"data: {}\n\ndata: [DO", b"NE]\n\n", b"")
    for _ in range(2):
        await anext(whole)
    await whole.aclose()
    assert (tally.of("m").done, tally.of("m").cancelled) == (1, 0)
