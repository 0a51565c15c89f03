"""A node at work: loads its models, keeps the link to the server, and stops in order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Self

import structlog
from attrs import field, frozen

from lightphon_backend_gguf.node.link import Link, LinkState
from lightphon_backend_gguf.node.operation import Operation, OperationOptions
from lightphon_backend_gguf.node.plan import Planned
from lightphon_backend_gguf.node.served import Served
from lightphon_backend_gguf.node.upstream import Upstream

PROGRESS_S = 5.0
"""How often the operator is told that a model still loads."""


class NodeFailed(Exception):
    """The node cannot go on. The message is one line for the operator."""


@frozen
class NodeOptions:
    """Where a node connects, and as whom. `url` is the node link's own address."""

    url: str
    token: str = field(repr=False)
    name: str
    software: str
    drain_timeout_s: float
    operation: OperationOptions = field(factory=OperationOptions)


class Node:
    """One run of `lightphon-node`."""

    def __init__(self, options: NodeOptions, planned: Sequence[Planned], log: structlog.stdlib.BoundLogger) -> None:
        self._options = options
        self._planned = planned
        self._log = log
        self._served: list[Served] = []
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
        try:
            async with Upstream() as upstream:
                link = Link(
                    options.url,
                    options.token,
                    options.name,
                    software=options.software,
                    post=self._operation.tally.counted(upstream.post),
                    report=self._report,
                    told=self._operation.told,
                    max_jobs=options.operation.max_jobs,
                    log=self._log,
                )
                with _signals(self.stop):
                    async with self._operation.running(link):
                        await self._run(link)
        finally:
            await asyncio.gather(*(planned.engine.stop() for planned in self._planned))
        self._log.info("Stopped.")

    async def _run(self, link: Link) -> None:
        async with _Tasks() as tasks:
            linked = tasks.start(link.run())
            serving = tasks.start(self._load_and_watch(link))
            await _first(linked, serving, tasks.start(self._stop.wait()))
            serving.cancel()
            link.drain()
            async with _Tasks() as last:
                hurry = last.start(self._stop_now.wait())
                await asyncio.wait(
                    {linked, hurry}, timeout=self._options.drain_timeout_s, return_when=asyncio.FIRST_COMPLETED
                )
            if not linked.done():
                self._log.warning("Stopping before all jobs are finished.")

    async def _load_and_watch(self, link: Link) -> None:
        """Load one model after the other, offer each as soon as it runs, and take back those whose engine dies."""
        async with _Tasks() as watchers:
            watching = []
            for planned in self._planned:
                served = await self._load(planned)
                self._served.append(served)
                link.serve(self._served)
                watching.append(watchers.start(self._watch(planned, served, link)))
            await asyncio.wait(watching)
        raise NodeFailed("No model is left to serve.")

    async def _load(self, planned: Planned) -> Served:
        name = planned.offer.model.id
        started = time.monotonic()

        async def tell() -> None:
            while True:
                await asyncio.sleep(PROGRESS_S)
                self._log.info(f"Still loading {name} after {time.monotonic() - started:.0f} s.")

        self._log.info(f"Loading {name}.")
        async with _Tasks() as tasks:
            tasks.start(tell())
            endpoint = await planned.engine.start()
        context = planned.offer.model.context_length
        self._log.info(
            f"Loaded {name} in {time.monotonic() - started:.1f} s:"
            f" {planned.offer.slots} at once, {context} tokens each."
        )
        return Served(planned.offer, endpoint)

    async def _watch(self, planned: Planned, served: Served, link: Link) -> None:
        how = await planned.engine.exited()
        self._log.error(f"{planned.offer.model.id} is no longer served: {how}.")
        self._served.remove(served)
        link.serve(self._served)

    def _report(self, state: LinkState) -> None:
        self._operation.report(state)
        (self._log.warning if state.name == "lost" else self._log.info)(state.line)


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
