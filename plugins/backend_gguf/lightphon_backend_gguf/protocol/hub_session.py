"""The hub's end of one node link, without I/O: what is received goes in, events come out, `next` gives what to send.

A job's id is issued by `start_job`. Every job that reached the node ends with exactly one `done` or `failed` from it,
a cancelled one too: until then its slot counts as taken. Output and endings of a job that is over are ignored; of an id
that was never sent to this node they are a violation.
"""

from collections.abc import Mapping
from types import MappingProxyType

from attrs import field, frozen

from lightphon_backend_gguf.protocol import codec, frames, limits
from lightphon_backend_gguf.protocol.account import Account
from lightphon_backend_gguf.protocol.closing import ProtocolViolation
from lightphon_backend_gguf.protocol.frames import Frame, FrameType, JobHeader
from lightphon_backend_gguf.protocol.hardware import Hardware, Machine
from lightphon_backend_gguf.protocol.issued import IssuedJobs
from lightphon_backend_gguf.protocol.messages import (
    Cancel,
    Done,
    Drain,
    Failed,
    Hello,
    Load,
    Message,
    OfferLoad,
    OfferMessage,
    Offers,
    Ping,
    Pong,
    Welcome,
)
from lightphon_backend_gguf.protocol.outbox import Outbox, on_the_wire


@frozen
class Joined:
    """The node said hello."""

    hello: Hello


@frozen
class OffersChanged:
    """`offers`, `paused`, `hardware` or `draining` of the session changed."""


@frozen
class Output:
    """The next bytes of a job's answer."""

    job: int
    data: bytes = field(repr=False)


@frozen
class Ended:
    """A job is over; `failed` says why if it did not end well. Comes once for each job that was not cancelled."""

    job: int
    failed: Failed | None = None


HubEvent = Joined | OffersChanged | Output | Ended


_UNTOLD = Machine()
_NOTHING: Mapping[str, int | float] = MappingProxyType({})


def _measured(load: OfferLoad, machine: Machine) -> dict[str, int | float]:
    values = {
        "tokens_per_s": load.decode_tps,
        "prompt_tokens_per_s": load.prompt_tps,
        "memory_free_bytes": machine.memory_free,
        "gpu_memory_free_bytes": machine.gpu_memory_free,
        "gpu_busy": machine.gpu_busy,
    }
    return {name: value for name, value in values.items() if value is not None}


class HubSession:
    """One connection of one node. `max_offers`: how many offers the operator allows it."""

    def __init__(self, *, max_offers: int = limits.OFFERS) -> None:
        self.offers: dict[str, OfferMessage] = {}
        self.paused = False
        self.draining = False
        self.hardware: Hardware | None = None
        self._max_offers = max_offers
        self._joined = False
        self._reported: dict[str, OfferLoad] = {}
        self._measured: dict[str, dict[str, int | float]] = {}
        self._jobs = IssuedJobs()
        self._outbox = Outbox()

    def busy(self, offer: str) -> int:
        """Jobs of this hub that the offer works on, those being cancelled included."""
        return self._jobs.busy(offer)

    def load(self, offer: str) -> tuple[int, int]:
        """(busy, queued) of an offer: the hub's own count or the node's report, whichever is higher."""
        reported = self._reported.get(offer)
        own = self.busy(offer)
        return (max(own, reported.busy), reported.queued) if reported else (own, 0)

    def measured(self, offer: str) -> Mapping[str, int | float]:
        """What the node measured last, by name: speeds of the offer in tokens per second, and of the machine what is
        free of its memory in bytes, and from 0 to 1 how busy its GPU is."""
        return self._measured.get(offer, _NOTHING)

    # What the hub says

    def welcome(self, node_id: str, heartbeat_s: float, notice: str | None = None) -> None:
        """Answer hello. `notice` is a line for the node's operator."""
        self._outbox.put(Welcome(node_id=node_id, heartbeat_s=heartbeat_s, notice=notice))

    def account(self, account: Account) -> None:
        """Say how the node's account stands; takes the place of what was said before and has not left."""
        self._outbox.put(account, once=True)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._outbox.put(Ping(), once=True)

    def start_job(self, offer: str, path: str, body: bytes, timeout_s: float) -> int:
        """Queue a job for the node; its id. Whether the offer stands and has a free slot is for the caller to see.

        Raises `FieldError` where the protocol cannot carry the job (its body, say, is over `limits.BODY_BYTES`).
        """
        header = JobHeader(offer=offer, path=path, size=len(body), timeout_s=timeout_s)
        job = self._jobs.issue(offer)
        self._outbox.queue(job, Frame(FrameType.JOB, job, frames.encode_header(header)))
        for piece in frames.pieces(body):
            self._outbox.queue(job, Frame(FrameType.BODY, job, piece))
        return job

    def cancel(self, job: int) -> None:
        """Give a job up. No event of it follows. A job that is over already is left alone."""
        state = self._jobs.get(job)
        if state is None or state.cancelled:
            return
        self._outbox.drop(job)
        if state.sent:
            state.cancelled = True
            self._outbox.put(Cancel(job))
        else:
            self._jobs.end(job)

    @property
    def pending(self) -> bool:
        """Whether anything has not left yet."""
        return bool(self._outbox)

    def next(self) -> str | bytes | None:
        """Take the next WebSocket message to send; None if there is nothing."""
        item = self._outbox.next()
        if item is None:
            return None
        if isinstance(item, Frame) and item.type is FrameType.JOB and (state := self._jobs.get(item.job)):
            state.sent = True
        return on_the_wire(item)

    # What the node says

    def receive_text(self, text: str) -> list[HubEvent]:
        """Take a WebSocket text message. Raises `ProtocolViolation`."""
        message = codec.decode(text)
        if not self._joined:
            if not isinstance(message, Hello):
                raise ProtocolViolation("the first message is not hello")
            self._joined = True
            return [Joined(message)]
        return self._act(message)

    def receive_bytes(self, data: bytes) -> list[HubEvent]:
        """Take a WebSocket binary message. Raises `ProtocolViolation`."""
        frame = frames.decode(data)
        if not self._joined:
            raise ProtocolViolation("the first message is not hello")
        if frame is None:
            return []
        if frame.type is not FrameType.OUTPUT:
            raise ProtocolViolation("only the hub sends jobs")
        state = self._jobs.known(frame.job)
        if state is None or state.cancelled or not frame.payload:
            return []
        return [Output(frame.job, bytes(frame.payload))]

    def _act(self, message: Message | None) -> list[HubEvent]:
        match message:
            case Offers(offers, paused):
                if len(offers) > self._max_offers:
                    raise ProtocolViolation(f"more than {self._max_offers} offers")
                self.offers = {offer.id: offer for offer in offers}
                self.paused = paused
                return [OffersChanged()]
            case Load(loads, machine):
                self._reported = {load.offer: load for load in loads}
                # Here rather than when asked: the hub asks at each request, for every offer.
                self._measured = {load.offer: _measured(load, machine or _UNTOLD) for load in loads}
            case Hardware():
                if message != self.hardware:
                    self.hardware = message
                    return [OffersChanged()]
            case Done(job):
                return self._ended(job, None)
            case Failed(job=job):
                return self._ended(job, message)
            case Drain():
                self.draining = True
                return [OffersChanged()]
            case Ping():
                self._outbox.put(Pong(), once=True)
            case Hello() | Welcome() | Account() | Cancel():
                raise ProtocolViolation("a message that a node may not send now")
            case Pong() | None:
                pass
        return []

    def _ended(self, job: int, failed: Failed | None) -> list[HubEvent]:
        state = self._jobs.known(job)
        if state is None:
            return []
        self._outbox.drop(job)  # the node may give up before it has the whole body
        self._jobs.end(job)
        return [] if state.cancelled else [Ended(job, failed)]
