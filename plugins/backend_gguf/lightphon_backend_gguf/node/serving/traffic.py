"""What passes between the link and the engines: how many jobs run, whether anything comes, and how fast."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from lightphon_backend_gguf.node.link.jobs import Post
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.node.serving.speed import TAIL_BYTES, Speed, sample_of


class Meter:
    """What passes of one running engine. `heard` counts the pieces that came from it."""

    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self.heard = 0
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self) -> None:
        """A job was sent to the engine."""
        self._running += 1
        self._idle.clear()

    def end(self) -> None:
        """A job is over."""
        self._running -= 1
        if not self._running:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no job runs."""
        await self._idle.wait()


class Traffic:
    """Posts to engines, and measures those that it was told of. Keeps nothing of what passes beyond the job's end."""

    def __init__(self, post: Post, clock: Callable[[], float]) -> None:
        self._post = post
        self._clock = clock
        self._meters: dict[Endpoint, Meter] = {}

    def measure(self, endpoint: Endpoint, speed: Speed) -> Meter:
        """Measure this engine from now on, and add what is measured to `speed`."""
        meter = self._meters[endpoint] = Meter(speed)
        return meter

    def forget(self, endpoint: Endpoint) -> None:
        """Measure this engine no more."""
        self._meters.pop(endpoint, None)

    async def post(
        self, endpoint: Endpoint, path: str, body: bytes, *, timeout_s: float
    ) -> AsyncGenerator[bytes, None]:
        """A `Post`: the one that was given, measured."""
        async with aclosing(self._post(endpoint, path, body, timeout_s=timeout_s)) as parts:
            meter = self._meters.get(endpoint)
            if meter is None:
                async for part in parts:
                    yield part
                return
            began = first = last = self._clock()
            events, tail = 0, b""
            meter.begin()
            try:
                async for part in parts:
                    last = self._clock()
                    first = first if events else last
                    meter.heard += 1
                    events += part.count(b"\n\n")
                    tail = (tail + part)[-TAIL_BYTES:]
                    yield part
            finally:
                meter.end()
                if events:
                    meter.speed.add(sample_of(tail, events, first - began, last - first))
