"""How long a backend may be silent once it has begun."""

import asyncio

import pytest
import structlog

from lightphon_core import TimedOut
from lightphon_core.host import Tasks
from lightphon_core.openai.request import parse
from lightphon_core.serving.work import MOST_UNREAD, Work
from lightphon_core.testing.scripted import chunk, event

REQUEST = parse(
    "/v1/chat/completions",
    b'{"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}',
    max_output_tokens=100,
)


@pytest.fixture
def clock(monkeypatch):
    """`await clock(seconds)` lets so much time of the event loop pass, and everything happen that is due."""
    passed = 0.0

    async def advance(seconds: float) -> None:
        nonlocal passed
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: passed)
        passed += seconds
        for _ in range(10 * MOST_UNREAD):
            await asyncio.sleep(0)

    return advance


def begun(raw, ended):
    return Work(raw, REQUEST, Tasks(structlog.get_logger()), name="job", ended=ended)


async def test_who_waits_for_its_reader_is_not_silent(clock):
    async def raw():
        for _ in range(2 * MOST_UNREAD):
            yield chunk({"content": "word "})
        await asyncio.Event().wait()

    judged = []
    work = begun(raw(), judged.append)
    await clock(0)
    work.expect_more(60)
    await clock(1000)  # the client reads nothing all that time
    for _ in range(2 * MOST_UNREAD):
        assert await work.next()
    await clock(59)
    following = asyncio.ensure_future(work.next())
    await clock(0.5)
    assert not following.done()
    await clock(0.5)
    with pytest.raises(TimedOut, match="did not go on"):
        await following
    await work.stop()
    assert [type(error) for error in judged] == [TimedOut]


async def test_what_is_complete_may_take_its_time_to_end(clock):
    go = asyncio.Event()

    async def raw():
        try:
            yield chunk({"content": "word"}) + chunk(finish="stop") + event("[DONE]")
        finally:
            await go.wait()

    judged = []
    work = begun(raw(), judged.append)
    await clock(0)
    work.expect_more(60)
    assert await work.next()
    assert await work.next() is None
    await clock(1000)
    assert judged == []
    go.set()
    await clock(0)
    assert judged == [None]
