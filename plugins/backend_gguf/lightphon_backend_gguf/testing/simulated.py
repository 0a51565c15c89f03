"""Nodes without an engine: they speak the node link as real ones do, and answer each job with so many chunks at once.

For tests and benchmarks of the server. Needs the extra `[node]`.
"""

import asyncio
import json
from collections.abc import Callable
from typing import NoReturn

from attrs import define, field, frozen
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from lightphon_backend_gguf.protocol.account import PriceMessage
from lightphon_backend_gguf.protocol.messages import ModelFacts, OfferLoad, OfferMessage
from lightphon_backend_gguf.protocol.node_session import JobCancelled, JobReceived, NodeSession, Welcomed
from lightphon_backend_gguf.protocol.versions import SUBPROTOCOLS

WORD = "word "


@frozen
class Simulation:
    """What a node offers, and how it answers: `chunks` pieces of text, `at_once` of them in one go, with `pause_s` in
    between."""

    model: str = "simulated"
    slots: int = 8
    chunks: int = 20
    at_once: int = 1
    pause_s: float = 0.0
    price: PriceMessage | None = None

    @property
    def text(self) -> str:
        """What every answer says."""
        return WORD * self.chunks


@define
class SimulatedNode:
    """One connection of one node. `url` is the node link's own address; `welcomed` is called once it is let in."""

    url: str
    token: str = field(repr=False)
    name: str
    simulation: Simulation
    welcomed: Callable[[], None] = lambda: None
    _socket: ClientConnection | None = None
    _jobs: dict[int, "asyncio.Task[None]"] = field(factory=dict)
    _wake: asyncio.Event = field(factory=asyncio.Event)

    def die(self) -> None:
        """Vanish as a machine does whose plug is pulled."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def run(self) -> int | None:
        """Serve until the connection ends; its close code, None if it broke."""
        session = NodeSession(self.name, "simulated/1")
        facts = ModelFacts(self.simulation.model, ("chat",), context_length=8192)
        session.offer([OfferMessage("m", facts, self.simulation.slots, self.simulation.price)])
        self._socket = socket = await connect(
            self.url,
            subprotocols=[Subprotocol(each) for each in SUBPROTOCOLS],
            additional_headers={"Authorization": f"Bearer {self.token}"},
            compression=None,
            proxy=None,
            ping_interval=None,
            close_timeout=1,
        )
        loops = [asyncio.create_task(loop(socket, session)) for loop in (self._write, self._beat)]
        try:
            await self._read(socket, session)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        finally:
            tasks = [*loops, *self._jobs.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await socket.close()

    async def _read(self, socket: ClientConnection, session: NodeSession) -> NoReturn:
        while True:
            message = await socket.recv()
            received = session.receive_text(message) if isinstance(message, str) else session.receive_bytes(message)
            for event in received:
                match event:
                    case Welcomed():
                        self.welcomed()
                    case JobReceived(job):
                        self._jobs[job] = asyncio.create_task(self._answer(session, job))
                    case JobCancelled(job):
                        if (task := self._jobs.pop(job, None)) is not None:
                            task.cancel()
                        session.done(job)
            self._wake.set()

    async def _write(self, socket: ClientConnection, session: NodeSession) -> None:
        while True:
            self._wake.clear()
            while (message := session.next()) is not None:
                await socket.send(message)
            await self._wake.wait()

    async def _beat(self, _: ClientConnection, session: NodeSession) -> None:
        while True:
            await asyncio.sleep(1)
            session.load([OfferLoad("m", len(self._jobs))])
            self._wake.set()

    async def _answer(self, session: NodeSession, job: int) -> None:
        plan = self.simulation
        for start in range(0, plan.chunks, plan.at_once):
            for _ in range(start, min(start + plan.at_once, plan.chunks)):
                session.output(job, _chunk({"content": WORD}))
            self._wake.set()
            await asyncio.sleep(plan.pause_s)
        usage = {"prompt_tokens": 1, "completion_tokens": plan.chunks, "total_tokens": plan.chunks + 1}
        session.output(job, _chunk({}, finish_reason="stop"))
        session.output(job, _chunk(None, usage=usage) + b"data: [DONE]\n\n")
        session.done(job)
        self._jobs.pop(job, None)
        self._wake.set()


def _chunk(delta: dict[str, str] | None, *, finish_reason: str | None = None, **members: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    whole = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **members}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"
