"""One connection to the server: the loops around its session, and its jobs."""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from attrs import frozen
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from lightphon_backend_gguf.node.link.jobs import JobRunner, Post
from lightphon_backend_gguf.node.serving.served import Served
from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.account import Account
from lightphon_backend_gguf.protocol.closing import CloseCode, ProtocolViolation
from lightphon_backend_gguf.protocol.hardware import Hardware, Machine
from lightphon_backend_gguf.protocol.messages import JobFailed, Welcome
from lightphon_backend_gguf.protocol.node_session import (
    AccountTold,
    JobCancelled,
    JobReceived,
    NodeEvent,
    NodeSession,
    Welcomed,
)

_WELCOME_TIMEOUT_S = 10.0


@frozen
class End:
    """How a connection ended. `code` is the close code, None for a connection that just broke."""

    code: int | None
    reason: str


class Connection:
    """Speaks for one node over an open WebSocket. `welcomed` is called when the hub has taken the node in,
    `told` with what it says of the account; `machine` tells at each heartbeat how busy the machine is. See `JobRunner`
    for `max_jobs`."""

    def __init__(
        self,
        socket: ClientConnection,
        session: NodeSession,
        post: Post,
        log: structlog.stdlib.BoundLogger,
        welcomed: Callable[[Welcome], None],
        *,
        told: Callable[[Account], None],
        machine: Callable[[], Machine | None],
        max_jobs: int | None,
    ) -> None:
        self._socket = socket
        self._session = session
        self._welcomed = welcomed
        self._told = told
        self._machine = machine
        self._jobs = JobRunner(post, self, log, max_jobs=max_jobs)
        self._heard = False
        self._wake = asyncio.Event()
        self._left = asyncio.Event()
        self._welcome = asyncio.Event()
        self._drain = asyncio.Event()
        self._end: asyncio.Future[End] = asyncio.get_running_loop().create_future()

    def serve(self, served: Sequence[Served], *, paused: bool = False) -> None:
        """Offer this from now on; nothing while paused, and say so."""
        served = () if paused else served
        self._jobs.serve(served)
        self._session.offer([item.offer for item in served], paused=paused)
        self._report_load()

    def describe(self, hardware: Hardware) -> None:
        """Say what the machine is."""
        self._session.hardware(hardware)
        self._wake.set()

    def drain(self) -> None:
        """Take no new jobs; the connection ends, normally, when the running ones are over."""
        self._drain.set()

    async def run(self) -> End:
        """Serve until the connection ends; how it ended. No job of it runs on."""
        try:
            async with asyncio.TaskGroup() as group:
                work = (self._read(), self._write(), self._pulse(), self._leave())
                loops = [group.create_task(loop) for loop in work]
                end = await self._end
                for loop in loops:
                    loop.cancel()
        finally:
            await self._jobs.stop()
        if end.code is not None:
            await self._socket.close(end.code)
        return end

    # What jobs say

    async def output(self, job: int, data: bytes) -> None:
        """Send bytes of an answer; waits while more than one frame of the same job has not left."""
        self._session.output(job, data)
        self._wake.set()
        while self._session.waiting(job) > limits.FRAGMENT_BYTES:
            self._left.clear()
            await self._left.wait()

    def ended(self, job: int, error: JobFailed | None) -> None:
        """Send that a job is over."""
        if error is None:
            self._session.done(job)
        else:
            self._session.failed(job, error)
        self._report_load()

    # The loops

    async def _read(self) -> None:
        try:
            while True:
                message = await self._socket.recv()
                self._heard = True
                if isinstance(message, str):
                    events = self._session.receive_text(message)
                else:
                    events = self._session.receive_bytes(message)
                for event in events:
                    self._act(event)
                if self._session.pending:
                    self._wake.set()
        except ConnectionClosed as closed:
            self._lost(closed)
        except ProtocolViolation as violation:
            self._finish(End(CloseCode.PROTOCOL_VIOLATION, f"the server broke the protocol: {violation}"))

    def _act(self, event: NodeEvent) -> None:
        match event:
            case Welcomed(welcome):
                self._welcome.set()
                self._welcomed(welcome)
            case JobReceived():
                self._jobs.start(event)
                self._report_load()
            case JobCancelled(job):
                self._jobs.cancel(job)
            case AccountTold(account):
                self._told(account)

    async def _write(self) -> None:
        try:
            while True:
                self._wake.clear()
                while (message := self._session.next()) is not None:
                    await self._socket.send(message)
                    self._left.set()
                await self._wake.wait()
        except ConnectionClosed as closed:
            self._lost(closed)

    async def _pulse(self) -> None:
        """Send load at each heartbeat, and notice a server that says nothing. Counts beats, as the hub does."""
        try:
            async with asyncio.timeout(_WELCOME_TIMEOUT_S):
                await self._welcome.wait()
        except TimeoutError:
            return self._finish(End(CloseCode.SILENT, "the server did not answer hello"))
        assert self._session.welcome is not None
        interval = self._session.welcome.heartbeat_s
        missed = 0
        # Beats a little faster than the hub, which then hears from this node in each of its own intervals.
        while missed <= limits.MISSED_HEARTBEATS:
            self._heard = False
            self._report_load()
            await asyncio.sleep(interval * 0.8)
            missed = 0 if self._heard else missed + 1
        return self._finish(End(CloseCode.SILENT, "the server has fallen silent"))

    async def _leave(self) -> None:
        await self._drain.wait()
        await self._welcome.wait()
        self._session.drain()
        self._wake.set()
        await self._jobs.drain()
        while self._session.pending:
            self._left.clear()
            await self._left.wait()
        self._finish(End(CloseCode.NORMAL, "drained"))

    def _report_load(self) -> None:
        self._session.load(self._jobs.load(), self._machine())
        self._wake.set()

    def _lost(self, closed: ConnectionClosed) -> None:
        code = closed.rcvd.code if closed.rcvd else None
        self._finish(End(code, describe(code)))

    def _finish(self, end: End) -> None:
        if not self._end.done():
            self._end.set_result(end)


def describe(code: int | None) -> str:
    """A close code in words."""
    if code is None:
        return "the connection broke"
    try:
        return f"the server closed it: {CloseCode(code).name.lower().replace('_', ' ')}"
    except ValueError:
        return f"the server closed it with code {code}"
