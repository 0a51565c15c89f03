"""One node's connection: the loops around its session, and the jobs it has in hand."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog
from attrs import evolve, frozen
from litestar.exceptions import WebSocketDisconnect

from lightphon_backend_gguf.hub.answer import Answer
from lightphon_backend_gguf.hub.settings import GgufSettings
from lightphon_backend_gguf.hub.translate import machine_facts, to_error, to_offer
from lightphon_backend_gguf.hub.wire import Socket, close, receive
from lightphon_backend_gguf.protocol import limits, tolls
from lightphon_backend_gguf.protocol.allowance import Allowance
from lightphon_backend_gguf.protocol.closing import CloseCode, ProtocolViolation
from lightphon_backend_gguf.protocol.fields import FieldError
from lightphon_backend_gguf.protocol.hub_session import Ended, HubEvent, HubSession, Joined, OffersChanged, Output
from lightphon_core import BackendError, Job, Node, Offer, Overloaded, Refused, TimedOut, Unavailable

MESSAGES_AT_ONCE = 32
"""Messages of one node that are read before others have their turn: reading what has arrived does not wait."""

_LATE = "The node did not finish in time. Ask for fewer tokens (max_tokens), or try a smaller model."


class Check(Protocol):
    """Whether the node's token still holds."""

    async def __call__(self) -> CloseCode | None:
        """None if it does, else why the connection must end."""


@frozen
class Running:
    """A job in hand: its id on the connection, and its answer."""

    id: int
    answer: Answer
    deadline: asyncio.TimerHandle


class Connection:
    """A node that said hello. `changed` is called when its offers change, and when it is gone. `credential` is the
    id of its token."""

    def __init__(
        self,
        socket: Socket,
        session: HubSession,
        node: Node,
        settings: GgufSettings,
        log: structlog.stdlib.BoundLogger,
        changed: Callable[[], None],
        credential: str | None = None,
    ) -> None:
        self.session = session
        self.node = node
        self.credential = credential
        self.gone = False
        self.offers: tuple[Offer, ...] = ()
        self._socket = socket
        self._settings = settings
        self._log = log
        self._changed = changed
        self._running: dict[int, Running] = {}
        self._wake = asyncio.Event()
        self._suspect = asyncio.Event()
        self._allowance = Allowance(tolls.RATE, tolls.BURST)
        self._heard = False
        self._end: asyncio.Future[CloseCode | None] = asyncio.get_running_loop().create_future()
        self._closed = asyncio.Event()

    def start(self, offer_id: str, job: Job) -> Running:
        """Hand a job to the node. Raises `Unavailable`, `Overloaded` or `Refused`."""
        offer = self.session.offers.get(offer_id)
        if self.gone or self.session.draining or offer is None:
            raise Unavailable("The node no longer offers this model.")
        if self.session.busy(offer_id) >= offer.slots:
            raise Overloaded("All slots of the node are taken.")
        if len(job.body) > limits.BODY_BYTES:
            raise Refused("The request is too large for a node.", code="request_too_large")
        timeout_s = min(max(job.timeout_s, 0.0), 86400.0)
        try:
            number = self.session.start_job(offer_id, job.path, job.body, timeout_s)
        except FieldError as error:
            raise Refused("The request cannot be sent to a node.") from error
        answer = Answer(self._settings.unread_limit)
        deadline = asyncio.get_running_loop().call_later(timeout_s, self._expire, number)
        running = self._running[number] = Running(number, answer, deadline)
        self._wake.set()
        return running

    def stop(self, running: Running) -> None:
        """The job's reader has left: cancel what is not over. Never waits, so it may be called from anywhere."""
        running.deadline.cancel()
        if self._running.pop(running.id, None) is not None:
            self.session.cancel(running.id)
            self._wake.set()

    def wake(self) -> None:
        """The session has something to send."""
        self._wake.set()

    def _expire(self, number: int) -> None:
        running = self._running.get(number)
        if running is not None:
            running.answer.end(TimedOut(_LATE))
            self.stop(running)

    def close(self, code: CloseCode | None) -> None:
        """End the connection, with a close code unless the peer has gone already. The jobs in hand fail at once."""
        if self.gone:
            return
        self.gone = True
        self.offers = ()
        self._end.set_result(code)
        lost = list(self._running.values())
        self._running.clear()
        for running in lost:
            running.answer.end(Unavailable("The node has gone."))
        self._changed()
        self._log.info(
            "node left",
            node=self.node.id,
            name=self.node.name,
            reason=code.name.lower() if code else "disconnected",
            jobs_lost=len(lost),
        )

    def recheck(self) -> None:
        """Look at once whether the token still holds."""
        self._suspect.set()

    async def closed(self) -> None:
        """Wait until the socket has been closed."""
        await self._closed.wait()

    async def run(self, check: Check) -> None:
        """Serve the connection until it ends."""
        self._changed()
        try:
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(loop)
                    for loop in (self._read(), self._write(), self._pulse(), self._recheck(check))
                ]
                code = await self._end
                for loop in loops:
                    loop.cancel()
            if code is not None:
                await close(self._socket, code)
        finally:
            self.close(None)
            self._closed.set()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        taken = 0
        while True:
            try:
                received = await receive(self._socket, self.session)
            except ProtocolViolation as violation:
                self._log.warning("node broke the protocol", node=self.node.id, violation=str(violation))
                return self.close(CloseCode.PROTOCOL_VIOLATION)
            if received is None:
                return self.close(None)
            self._heard = True
            for event in received.events:
                self._act(event)
            if received.toll and not self._allowance.spend(received.toll, loop.time()):
                self._log.warning("node sends more than it may", node=self.node.id)
                return self.close(CloseCode.FLOODING)
            if self.session.pending:
                self._wake.set()
            taken += 1
            if taken % MESSAGES_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _act(self, event: HubEvent) -> None:
        match event:
            case Output(job, data):
                running = self._running.get(job)
                if running is not None and not running.answer.feed(data):
                    self.stop(running)
            case Ended(job, failed):
                ended = self._running.pop(job, None)
                if ended is not None:
                    error: BackendError | None = to_error(failed) if failed else None
                    ended.answer.end(error)
            case OffersChanged():
                standing = () if self.session.draining else self.session.offers.values()
                self.node = evolve(self.node, facts=machine_facts(self.session.hardware))
                self.offers = tuple(to_offer(self.node, message) for message in standing)
                self._changed()
            case Joined():
                pass

    async def _write(self) -> None:
        try:
            while True:
                self._wake.clear()
                while (message := self.session.next()) is not None:
                    if isinstance(message, str):
                        await self._socket.send_text(message)
                    else:
                        await self._socket.send_bytes(message)
                await self._wake.wait()
        except (OSError, WebSocketDisconnect):  # uvicorn's ClientDisconnected is an OSError
            self.close(None)

    async def _pulse(self) -> None:
        """Ask for a sign of life at each heartbeat. Counts beats, not seconds: a stall of this process is one beat."""
        missed = 0
        while missed < limits.MISSED_HEARTBEATS:
            self._heard = False
            self.session.ping()
            self._wake.set()
            await asyncio.sleep(self._settings.heartbeat_s)
            missed = 0 if self._heard else missed + 1
        self.close(CloseCode.SILENT)

    async def _recheck(self, check: Check) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.recheck_s):
                    await self._suspect.wait()
            self._suspect.clear()
            if (code := await check()) is not None:
                return self.close(code)
