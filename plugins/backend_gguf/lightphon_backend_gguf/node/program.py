"""A node at work: keeps its models served and the link to the server, and stops in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import structlog
from attrs import field, frozen

from lightphon_backend_gguf.node.engines.base import EngineError
from lightphon_backend_gguf.node.hardware import machine, survey
from lightphon_backend_gguf.node.link.link import Link, LinkState
from lightphon_backend_gguf.node.models.digests import Digests
from lightphon_backend_gguf.node.operator.operation import Operation, OperationOptions
from lightphon_backend_gguf.node.planning.plan import Planned
from lightphon_backend_gguf.node.serving.supervisor import Care, Supervisor
from lightphon_backend_gguf.node.serving.traffic import Traffic
from lightphon_backend_gguf.node.serving.upstream import Upstream

MEASURED_S = 15.0
"""How often it is read how busy the machine is."""


class NodeFailed(Exception):
    """The node cannot go on. The message is one line for the operator."""


@frozen
class NodeOptions:
    """Where a node connects, and as whom. `url` is the node link's own address; `state` a directory for what the node
    has computed, such as digests of files; `care` how its engines are watched."""

    url: str
    token: str = field(repr=False)
    name: str
    software: str
    drain_timeout_s: float
    state: Path
    care: Care = field(factory=Care)
    operation: OperationOptions = field(factory=OperationOptions)


class Node:
    """One run of `lightphon-node`."""

    def __init__(self, options: NodeOptions, planned: Sequence[Planned], log: structlog.stdlib.BoundLogger) -> None:
        self._options = options
        self._planned = planned
        self._log = log
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._operation = Operation(
            options.operation,
            name=options.name,
            url=options.url,
            offers=[each.offer for each in planned],
            stop=self.stop,
            log=log,
        )

    def stop(self) -> None:
        """Finish the running jobs, then end; called a second time: end at once."""
        (self._stop_now if self._stop.is_set() else self._stop).set()

    async def run(self) -> None:
        """Serve until stopped. Raises LinkRefused, EngineError or NodeFailed; no engine runs on, however it ends."""
        options = self._options
        async with Upstream() as upstream:
            traffic = Traffic(upstream.post, time.monotonic)
            link = Link(
                options.url,
                options.token,
                options.name,
                software=options.software,
                post=self._operation.tally.counted(traffic.post),
                report=self._report,
                told=self._operation.told,
                max_jobs=options.operation.max_jobs,
                log=self._log,
            )
            with _signals(self.stop):
                async with self._operation.running(link):
                    await self._run(link, self._supervise(link, traffic, upstream))
        self._log.info("Stopped.")

    def _supervise(self, link: Link, traffic: Traffic, upstream: Upstream) -> list[Supervisor]:
        """A supervisor for each model, whose offers are the link's."""
        supervisors: list[Supervisor] = []

        def changed() -> None:
            link.serve([one.served for one in supervisors if one.served is not None])

        loading = asyncio.Lock()
        supervisors += (
            Supervisor(
                planned,
                traffic=traffic,
                alive=upstream.alive,
                loading=loading,
                changed=changed,
                log=self._log,
                care=self._options.care,
            )
            for planned in self._planned
        )
        return supervisors

    async def _run(self, link: Link, supervisors: Sequence[Supervisor]) -> None:
        async with _Tasks() as running:
            engines = {one: running.start(one.run()) for one in supervisors}
            # In a block of their own: engines end after the link, for whose jobs they work.
            async with _Tasks() as tasks:
                linked = tasks.start(link.run())
                await _first(
                    linked,
                    tasks.start(self._describe(link, supervisors)),
                    tasks.start(_all_given_up(engines.values())),
                    tasks.start(self._stop.wait()),
                )
                link.drain()
                for supervisor, engine in engines.items():
                    if supervisor.served is None:
                        engine.cancel()
                async with _Tasks() as last:
                    hurry = last.start(self._stop_now.wait())
                    await asyncio.wait(
                        {linked, hurry}, timeout=self._options.drain_timeout_s, return_when=asyncio.FIRST_COMPLETED
                    )
                if not linked.done():
                    self._log.warning("Stopping before all jobs are finished.")

    async def _describe(self, link: Link, supervisors: Sequence[Supervisor]) -> None:
        """Tell what the machine is, what each model's file is once it is served, and how busy the machine is."""
        hardware = await survey()
        link.describe(hardware)
        async with _Tasks() as tasks:
            tasks.start(_measure(link))
            digests = Digests(self._options.state)
            for supervisor in supervisors:
                await supervisor.settled.wait()
                if supervisor.planned.path is not None and (digest := await digests.of(supervisor.planned.path)):
                    supervisor.tell_sha256(digest)
            await asyncio.Event().wait()

    def _report(self, state: LinkState) -> None:
        self._operation.report(state)
        (self._log.warning if state.name == "lost" else self._log.info)(state.line)


async def _measure(link: Link) -> None:
    """Keep the link's heartbeat told of how busy the machine is."""
    while True:
        link.measured(await asyncio.to_thread(machine))
        await asyncio.sleep(MEASURED_S)


async def _all_given_up(engines: Iterable[asyncio.Task[EngineError]]) -> None:
    """Wait until nothing is served and nothing is tried again, and raise what it failed with."""
    # Not `gather`, which cancels the engines along with this.
    done, _ = await asyncio.wait(set(engines), return_when=asyncio.FIRST_EXCEPTION)
    errors = [engine.result() for engine in done]
    if len(errors) == 1:
        raise errors[0]
    raise NodeFailed("No model is left to serve.")


class _Tasks:
    """Tasks that end, at the latest, with the block. Unlike a TaskGroup it leaves it to the block to read results."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            # Once: a second time would interrupt what a task does to end in order.
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _first(*tasks: asyncio.Task[Any]) -> None:
    """Wait for the first of these to end, and raise what it raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Have Ctrl-C and SIGTERM call `stop`. Where the event loop cannot do that, Ctrl-C still interrupts the program."""
    loop = asyncio.get_running_loop()
    caught = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
