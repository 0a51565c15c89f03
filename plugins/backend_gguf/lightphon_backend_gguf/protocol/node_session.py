"""The node's end of a node link, without I/O: what is received goes in, events come out, `next` gives what to send.

Every job that arrives ends with exactly one call of `done` or `failed`, or with the connection.
"""

from collections.abc import Sequence

from attrs import define, field, frozen

from lightphon_backend_gguf.protocol import codec, frames, limits
from lightphon_backend_gguf.protocol.account import Account
from lightphon_backend_gguf.protocol.closing import ProtocolViolation
from lightphon_backend_gguf.protocol.frames import Frame, FrameType, JobHeader
from lightphon_backend_gguf.protocol.hardware import Hardware, Machine
from lightphon_backend_gguf.protocol.messages import (
    Cancel,
    Done,
    Drain,
    Hello,
    JobFailed,
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
class Welcomed:
    """The hub accepted the node."""

    welcome: Welcome


@frozen
class JobReceived:
    """A job has arrived whole."""

    job: int
    offer: str
    path: str
    body: bytes = field(repr=False)
    timeout_s: float


@frozen
class JobCancelled:
    """The hub no longer wants a job that was received. Stop it and call `done`."""

    job: int


@frozen
class AccountTold:
    """The hub says how the node's account stands."""

    account: Account


NodeEvent = Welcomed | JobReceived | JobCancelled | AccountTold


@define
class _Job:
    header: JobHeader
    body: bytearray = field(factory=bytearray)
    received: bool = False
    cancelled: bool = False


class NodeSession:
    """One connection to the hub; says hello at once."""

    def __init__(self, name: str, software: str) -> None:
        self.welcome: Welcome | None = None
        self._jobs: dict[int, _Job] = {}
        self._last = 0
        self._unfinished = 0
        self._outbox = Outbox()
        self._outbox.put(Hello(name=name, software=software))

    # What the node says

    def offer(self, offers: Sequence[OfferMessage], *, paused: bool = False) -> None:
        """Say what is served from now on; `paused` where that is nothing because the operator wants it so."""
        self._outbox.put(Offers(tuple(offers), paused), once=True)

    def hardware(self, hardware: Hardware) -> None:
        """Say what the node computes with."""
        self._outbox.put(hardware, once=True)

    def load(self, loads: Sequence[OfferLoad], machine: Machine | None = None) -> None:
        """Say how busy the node is; also the heartbeat."""
        self._outbox.put(Load(tuple(loads), machine), once=True)

    def drain(self) -> None:
        """Say that no new jobs are wanted."""
        self._outbox.put(Drain(), once=True)

    def output(self, job: int, data: bytes) -> None:
        """Send the next bytes of a job's answer. Left out if the job was cancelled or is over."""
        state = self._jobs.get(job)
        if state is not None and not state.cancelled:
            for piece in frames.pieces(data):
                self._outbox.queue(job, Frame(FrameType.OUTPUT, job, piece))

    def done(self, job: int) -> None:
        """End a job. Left out if it is over."""
        if self._end(job) is not None:
            self._outbox.queue(job, Done(job))

    def failed(self, job: int, error: JobFailed) -> None:
        """End a job that cannot be served, or that broke off. Left out if it is over."""
        if (state := self._end(job)) is not None:
            self._outbox.queue(job, Done(job) if state.cancelled else error.to_message(job))

    def waiting(self, job: int) -> int:
        """Bytes of the job's output that have not left yet."""
        return self._outbox.waiting(job)

    @property
    def pending(self) -> bool:
        """Whether anything has not left yet."""
        return bool(self._outbox)

    def next(self) -> str | bytes | None:
        """Take the next WebSocket message to send; None if there is nothing."""
        item = self._outbox.next()
        return None if item is None else on_the_wire(item)

    # What the hub says

    def receive_text(self, text: str) -> list[NodeEvent]:
        """Take a WebSocket text message. Raises `ProtocolViolation`."""
        message = codec.decode(text)
        if self.welcome is None:
            if not isinstance(message, Welcome):
                raise ProtocolViolation("the first message is not welcome")
            self.welcome = message
            return [Welcomed(message)]
        return self._act(message)

    def receive_bytes(self, data: bytes) -> list[NodeEvent]:
        """Take a WebSocket binary message. Raises `ProtocolViolation`."""
        frame = frames.decode(data)
        if self.welcome is None:
            raise ProtocolViolation("the first message is not welcome")
        if frame is None:
            return []
        if frame.type is FrameType.JOB:
            return self._opened(frame)
        if frame.type is FrameType.BODY:
            return self._body(frame)
        raise ProtocolViolation("only a node sends output")

    def _act(self, message: Message | None) -> list[NodeEvent]:
        match message:
            case Cancel(job):
                return self._cancelled(job)
            case Account():
                return [AccountTold(message)]
            case Ping():
                self._outbox.put(Pong(), once=True)
            case Pong() | None:
                pass
            case _:
                raise ProtocolViolation("a message that the hub may not send now")
        return []

    def _opened(self, frame: Frame) -> list[NodeEvent]:
        if frame.job <= self._last:
            raise ProtocolViolation("a job id was used twice")
        if len(self._jobs) + self._outbox.jobs >= 2 * limits.JOBS:
            raise ProtocolViolation("too many jobs at one time")
        header = frames.decode_header(frame.payload)
        self._last = frame.job
        self._jobs[frame.job] = _Job(header)
        self._unfinished += header.size
        if self._unfinished > limits.UNFINISHED_BYTES:
            self.failed(frame.job, JobFailed("overloaded", "The node is receiving too much at this moment."))
            return []
        return self._whole(frame.job)

    def _body(self, frame: Frame) -> list[NodeEvent]:
        state = self._known(frame.job)
        if state is None:
            return []
        if state.received or len(state.body) + len(frame.payload) > state.header.size:
            raise ProtocolViolation("a body is longer than announced")
        state.body += frame.payload
        return self._whole(frame.job)

    def _whole(self, job: int) -> list[NodeEvent]:
        """The job, if all of its body is there."""
        state = self._jobs[job]
        header = state.header
        if len(state.body) < header.size:
            return []
        self._unfinished -= header.size
        state.received = True
        body, state.body = bytes(state.body), bytearray()
        return [JobReceived(job, header.offer, header.path, body, header.timeout_s)]

    def _cancelled(self, job: int) -> list[NodeEvent]:
        state = self._known(job)
        if state is None or state.cancelled:
            return []
        state.cancelled = True
        self._outbox.drop(job)
        if state.received:
            return [JobCancelled(job)]
        self.done(job)
        return []

    def _end(self, job: int) -> _Job | None:
        state = self._jobs.pop(job, None)
        if state is not None and not state.received:
            self._unfinished -= state.header.size
        return state

    def _known(self, job: int) -> _Job | None:
        if job > self._last:
            raise ProtocolViolation("a job id that was never issued")
        return self._jobs.get(job)
