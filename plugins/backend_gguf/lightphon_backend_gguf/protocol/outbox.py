"""What one end still has to send, in the order in which it should leave.

Control messages leave first, so that a cancel or a pong never waits behind a body. What belongs to jobs leaves in turn,
one piece of each, and in order within each job.
"""

from collections import OrderedDict, deque
from itertools import count

from lightphon_backend_gguf.protocol import codec, frames
from lightphon_backend_gguf.protocol.frames import Frame
from lightphon_backend_gguf.protocol.messages import Message


class Outbox:
    """Grows only by what its owner puts in: see `waiting` for how an owner keeps it small."""

    def __init__(self) -> None:
        self._control: OrderedDict[str | int, Message] = OrderedDict()
        self._serial = count()
        self._jobs: OrderedDict[int, deque[Frame | Message]] = OrderedDict()
        self._waiting: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._control or self._jobs)

    @property
    def jobs(self) -> int:
        """How many jobs have something to send."""
        return len(self._jobs)

    def put(self, message: Message, *, once: bool = False) -> None:
        """A control message. With `once`, it takes the place of one of the same type that still waits."""
        self._control[type(message).__name__ if once else next(self._serial)] = message

    def queue(self, job: int, item: Frame | Message) -> None:
        """The next thing that belongs to `job`."""
        self._jobs.setdefault(job, deque()).append(item)
        if isinstance(item, Frame):
            self._waiting[job] = self._waiting.get(job, 0) + len(item.payload)

    def drop(self, job: int) -> None:
        """Forget what still waits for `job`."""
        self._jobs.pop(job, None)
        self._waiting.pop(job, None)

    def waiting(self, job: int) -> int:
        """Bytes of payload that wait for `job`."""
        return self._waiting.get(job, 0)

    def next(self) -> Frame | Message | None:
        """Take what should leave now; None if there is nothing."""
        if self._control:
            return self._control.popitem(last=False)[1]
        if not self._jobs:
            return None
        job, items = next(iter(self._jobs.items()))
        item = items.popleft()
        if not items:
            self.drop(job)
            return item
        self._jobs.move_to_end(job)
        if isinstance(item, Frame):
            self._waiting[job] -= len(item.payload)
        return item


def on_the_wire(item: Frame | Message) -> str | bytes:
    """Text for a control message, bytes for a frame."""
    return frames.encode(item) if isinstance(item, Frame) else codec.encode(item)
