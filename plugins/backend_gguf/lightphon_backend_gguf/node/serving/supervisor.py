"""Keeps one model served: starts its engine, watches it, and starts it again when it crashes, hangs or leaks."""

import asyncio
import random as randomness
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from attrs import evolve, frozen

from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.models.memory import GIB, resident_bytes
from lightphon_backend_gguf.node.planning.plan import Planned
from lightphon_backend_gguf.node.serving.benchmark import LONGEST_S, benchmark
from lightphon_backend_gguf.node.serving.restarts import Restarts
from lightphon_backend_gguf.node.serving.served import Endpoint, Served
from lightphon_backend_gguf.node.serving.speed import Speed
from lightphon_backend_gguf.node.serving.traffic import Meter, Traffic

PROGRESS_S = 5.0
"""How often the operator is told that a model still loads."""


@frozen
class Care:
    """How engines are watched. Times are in seconds.

    An engine hangs when `missed_probes` probes in a row had no answer within `probe_timeout_s` and no job of it got
    anything meanwhile. One that leaks may finish its jobs for `drain_s` before it is restarted.
    """

    start_timeout_s: float = 900.0
    benchmark_s: float = LONGEST_S
    probe_every_s: float = 5.0
    probe_timeout_s: float = 10.0
    missed_probes: int = 3
    drain_s: float = 120.0


class Alive(Protocol):
    """Whether an engine answers a small question within so many seconds."""

    async def __call__(self, endpoint: Endpoint, *, timeout_s: float) -> bool: ...


class Supervisor:
    """One model. `served` is what can be offered of it now; `changed` is called when that is another than before.

    `loading` is held while an engine loads, so that engines of one machine load one after the other. `clock` (seconds),
    `sleep`, `random` (0 to 1) and `resident` (bytes of a process) are there for tests.
    """

    def __init__(
        self,
        planned: Planned,
        *,
        traffic: Traffic,
        alive: Alive,
        loading: asyncio.Lock,
        changed: Callable[[], None],
        log: structlog.stdlib.BoundLogger,
        care: Care = Care(),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = randomness.random,
        resident: Callable[[int], int | None] = resident_bytes,
    ) -> None:
        self.planned = planned
        self.served: Served | None = None
        self.settled = asyncio.Event()
        """Set once the model was served for the first time, or given up."""
        self._offer = planned.offer
        self._speed = Speed()
        self._traffic = traffic
        self._alive = alive
        self._loading = loading
        self._changed = changed
        self._log = log
        self._care = care
        self._clock = clock
        self._sleep = sleep
        self._resident = resident
        self._restarts = Restarts(clock, random, attempts=planned.attempts)

    async def run(self) -> EngineError:
        """Keep the model served, until it is given up: what its last start failed with. Cancelling it ends the engine,
        within some seconds."""
        name = self._offer.model.id
        while True:
            error: EngineError | None = None
            try:
                how = await self._serve(self.planned.engine())
            except EngineError as raised:
                how, error = str(raised), raised
            delay = self._restarts.ended(lasting=error is not None and error.lasting)
            if delay is None:
                self.settled.set()
                self._log.error(f"{name} is given up: {how}")
                return error or EngineError(f"{name}: {how}")
            if error is None:
                how = f"{name} is no longer served: {how}."
            self._log.error(f"{how} Starting it again in {delay:.1f} s.")
            await self._sleep(delay)

    def tell_sha256(self, digest: str) -> None:
        """Say from now on what the file's digest is."""
        self._offer = evolve(self._offer, model=evolve(self._offer.model, sha256=digest))
        if self.served is not None:
            self._show(evolve(self.served, offer=self._offer))

    async def _serve(self, engine: Engine) -> str:
        """One life of the engine; how it ended. Raises EngineError if it did not start."""
        endpoint: Endpoint | None = None
        exited: asyncio.Task[str] | None = None
        try:
            async with self._loading:
                endpoint = await self._load(engine)
                exited = asyncio.create_task(engine.exited())
                meter = self._traffic.measure(endpoint, self._speed)
                await benchmark(
                    self._traffic.post,
                    endpoint,
                    self._offer.model.capabilities,
                    longest_s=self._care.benchmark_s,
                )
                answers = await self._alive(endpoint, timeout_s=self._care.probe_timeout_s)
            if exited.done() or not answers:
                how = exited.result() if exited.done() else "the engine does not answer"
                raise EngineError(f"{self._offer.model.id} does not run: {how}.")
            self._restarts.ran()
            self._show(Served(self._offer, endpoint, self._speed))
            self.settled.set()
            return await self._watch(engine, endpoint, meter, exited)
        finally:
            if self.served is not None:
                self._show(None)
            if endpoint is not None:
                self._traffic.forget(endpoint)
            try:
                await engine.stop()
            finally:
                if exited is not None:
                    exited.cancel()
                    await asyncio.gather(exited, return_exceptions=True)

    async def _load(self, engine: Engine) -> Endpoint:
        name, began = self._offer.model.id, self._clock()

        async def tell() -> None:
            while True:
                await asyncio.sleep(PROGRESS_S)
                self._log.info(f"Still loading {name} after {self._clock() - began:.0f} s.")

        self._log.info(f"Loading {name}.")
        telling = asyncio.create_task(tell())
        try:
            async with asyncio.timeout(self._care.start_timeout_s):
                endpoint = await engine.start()
        except TimeoutError:
            raise EngineError(f"{name} was not loaded within {self._care.start_timeout_s:g} s.") from None
        finally:
            telling.cancel()
        self._log.info(
            f"Loaded {name} in {self._clock() - began:.1f} s:"
            f" {self._offer.slots} at once, {self._offer.model.context_length} tokens each."
        )
        return endpoint

    async def _watch(self, engine: Engine, endpoint: Endpoint, meter: Meter, exited: "asyncio.Task[str]") -> str:
        """Wait until the engine ends, or has to be ended; why, as part of a sentence."""
        care, missed = self._care, 0
        limit = self._memory_limit(engine)
        while True:
            heard = meter.heard
            await asyncio.wait({exited}, timeout=care.probe_every_s)
            if exited.done():
                return exited.result()
            # Counts probes, not seconds: a stall of this process, or a laptop's sleep, is one probe.
            answered = await self._alive(endpoint, timeout_s=care.probe_timeout_s)
            missed = 0 if answered or meter.heard != heard else missed + 1
            if missed >= care.missed_probes and not exited.done():
                return f"the engine did not answer {missed} times in a row"
            held = engine.pid and self._resident(engine.pid)
            if limit is not None and held and held > limit:
                await self._drain(meter, exited)
                return f"the engine held {held / GIB:.1f} GiB of memory, and {limit / GIB:.1f} is the limit"

    def _memory_limit(self, engine: Engine) -> int | None:
        """The operator's limit; else the estimate, or well above what the engine holds from the start."""
        planned = self.planned
        if planned.memory_limit is not None or planned.memory_estimate is None:
            return planned.memory_limit
        held = (engine.pid and self._resident(engine.pid)) or 0
        return max(planned.memory_estimate, held * 3 // 2 + GIB)

    async def _drain(self, meter: Meter, exited: "asyncio.Task[str]") -> None:
        """Offer the model no more, and wait until its jobs are finished, or for so long."""
        self._log.warning(f"{self._offer.model.id} takes too much memory: finishing its jobs, then restarting it.")
        self._show(None)
        idle = asyncio.create_task(meter.idle())
        try:
            await asyncio.wait({idle, exited}, timeout=self._care.drain_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            idle.cancel()

    def _show(self, served: Served | None) -> None:
        self.served = served
        self._changed()
