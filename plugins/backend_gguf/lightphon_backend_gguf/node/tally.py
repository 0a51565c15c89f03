"""Counts the jobs of a node as they pass to its engines: how many, how they ended, how fast; never what they say."""

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from attrs import define, field

from lightphon_backend_gguf.node.jobs import Post
from lightphon_backend_gguf.node.served import Endpoint
from lightphon_backend_gguf.protocol.messages import JobFailed

ANSWERS_KEPT = 20
"""Speed is that of so many answers, the latest."""
LEAST_CHUNKS = 4
"""Shorter answers say nothing about speed."""

_END = b"data: [DONE]\n\n"


@define
class Count:
    """The jobs of one model since the node started. `refused` are those whose request was at fault, `cancelled` those
    that nobody waited for any more."""

    busy: int = 0
    done: int = 0
    failed: int = 0
    refused: int = 0
    cancelled: int = 0
    _speeds: deque[tuple[int, float]] = field(factory=lambda: deque(maxlen=ANSWERS_KEPT))

    @property
    def tokens_per_s(self) -> float | None:
        """The speed of one answer lately, in its chunks a second, which engines send one of for each token; None where
        no streamed answer was long enough to tell."""
        seconds = sum(seconds for _, seconds in self._speeds)
        return sum(chunks for chunks, _ in self._speeds) / seconds if seconds > 0 else None

    def streamed(self, chunks: int, seconds: float) -> None:
        """An answer had so many chunks after its first, in this time."""
        if chunks >= LEAST_CHUNKS:
            self._speeds.append((chunks, seconds))


class Tally:
    """The counts of a node, by offer. `offer_of` tells which offer an engine stands behind. `clock` is in seconds."""

    def __init__(self, offer_of: Callable[[Endpoint], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._offer_of = offer_of
        self._clock = clock
        self._counts: dict[str, Count] = {}

    def of(self, offer: str) -> Count:
        """The count of this offer."""
        return self._counts.setdefault(offer, Count())

    def counted(self, post: Post) -> Post:
        """`post`, with what passes through it counted."""

        async def counting(
            endpoint: Endpoint, path: str, body: bytes, *, timeout_s: float
        ) -> AsyncGenerator[bytes, None]:
            count = self.of(self._offer_of(endpoint))
            count.busy += 1
            chunks, first, tail = 0, 0.0, b""
            try:
                async with aclosing(post(endpoint, path, body, timeout_s=timeout_s)) as parts:
                    async for part in parts:
                        if not chunks:
                            first = self._clock()
                        # Events end in an empty line, and JSON has none inside.
                        chunks += part.count(b"\n\n")
                        tail = (tail + part)[-len(_END) :]
                        yield part
            except Exception as error:
                if isinstance(error, JobFailed) and error.kind == "refused":
                    count.refused += 1
                else:
                    count.failed += 1
                raise
            except BaseException:  # cancelled, or closed early
                # The gateway hangs up as soon as it has read the end of a stream, which may be before we have.
                if tail == _END:
                    count.done += 1
                else:
                    count.cancelled += 1
                raise
            else:
                count.done += 1
            finally:
                count.busy -= 1
                count.streamed(chunks - 1, self._clock() - first)

        return counting
