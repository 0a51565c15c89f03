"""The jobs a node runs: each a task that posts to an engine and passes on what comes back."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

import structlog

from lightphon_backend_gguf.node.serving.served import Endpoint, Served
from lightphon_backend_gguf.protocol.messages import PATHS, JobFailed, OfferLoad
from lightphon_backend_gguf.protocol.node_session import JobReceived


class Post(Protocol):
    """Posts a JSON body to an engine; yields the answer's bytes. Raises `JobFailed`. Closing it stops the engine."""

    def __call__(
        self, endpoint: Endpoint, path: str, body: bytes, *, timeout_s: float
    ) -> AsyncGenerator[bytes, None]: ...


class Replies(Protocol):
    """The way back to the hub."""

    async def output(self, job: int, data: bytes) -> None:
        """Send the next bytes of an answer; waits while the link is slower than the engine."""

    def ended(self, job: int, error: JobFailed | None) -> None:
        """A job is over. Called once for each that was started."""


class JobRunner:
    """The jobs of one connection. No offer runs more of them than it has slots, and all together no more than
    `max_jobs`, if there is such a limit."""

    def __init__(
        self, post: Post, replies: Replies, log: structlog.stdlib.BoundLogger, *, max_jobs: int | None = None
    ) -> None:
        self._post = post
        self._replies = replies
        self._log = log
        self._max_jobs = max_jobs
        self._served: dict[str, Served] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._busy: Counter[str] = Counter()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def serve(self, served: Sequence[Served]) -> None:
        """What jobs may ask for from now on. Running jobs go on."""
        self._served = {item.offer.id: item for item in served}

    def load(self) -> tuple[OfferLoad, ...]:
        """How busy each offer is. Where no job more may run, all are as busy as they can be."""
        return tuple(
            OfferLoad(
                offer=offer,
                busy=served.offer.slots if self._full else self._busy[offer],
                decode_tps=served.speed.decode,
                prompt_tps=served.speed.prompt,
            )
            for offer, served in self._served.items()
        )

    @property
    def _full(self) -> bool:
        return self._max_jobs is not None and len(self._tasks) >= self._max_jobs

    def start(self, job: JobReceived) -> None:
        """Run a job, or end it at once if it cannot be run."""
        served = self._served.get(job.offer)
        if self._draining or served is None:
            error = JobFailed("unavailable", "The node no longer offers this model.")
        elif job.path not in PATHS:
            error = JobFailed("refused", "The node does not serve this endpoint.")
        elif self._busy[job.offer] >= served.offer.slots:
            error = JobFailed("overloaded", "All slots of the node are taken.")
        elif self._full:
            error = JobFailed("overloaded", "The node runs as many jobs as it may.")
        else:
            self._busy[job.offer] += 1
            self._idle.clear()
            task = asyncio.create_task(self._run(job, served.endpoint), name=f"job {job.job}")
            self._tasks[job.job] = task
            task.add_done_callback(lambda ended: self._ended(job, ended))
            return
        self._replies.ended(job.job, error)

    def cancel(self, job: int) -> None:
        """Stop a job at once; it counts as ended when its engine has let go of it."""
        if (task := self._tasks.get(job)) is not None:
            task.cancel()

    async def drain(self) -> None:
        """Take no more jobs, and wait for the running ones."""
        self._draining = True
        await self._idle.wait()

    async def stop(self) -> None:
        """Stop all jobs, and wait until their engines have let go of them."""
        self._draining = True
        for task in self._tasks.values():
            task.cancel()
        await self._idle.wait()

    async def _run(self, job: JobReceived, endpoint: Endpoint) -> None:
        async with aclosing(self._post(endpoint, job.path, job.body, timeout_s=job.timeout_s)) as parts:
            async for part in parts:
                await self._replies.output(job.job, part)

    def _ended(self, job: JobReceived, task: asyncio.Task[None]) -> None:
        # A callback, not a `finally`: a task that is cancelled before its first step runs no code of its own.
        del self._tasks[job.job]
        self._busy[job.offer] -= 1
        if not self._tasks:
            self._idle.set()
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, JobFailed):
            self._replies.ended(job.job, error)
        else:
            # Its type alone: the text may quote the request.
            self._log.error("job failed in the node itself", job=job.job, error=type(error).__name__)
            self._replies.ended(job.job, JobFailed("unavailable", "The node failed."))
