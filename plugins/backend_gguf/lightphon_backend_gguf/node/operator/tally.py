"""Counts the jobs of a node as they pass to its engines: how many, and how they ended; never what they say."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from attrs import define

from lightphon_backend_gguf.node.link.jobs import Post
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.protocol.messages import JobFailed

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


class Tally:
    """The counts of a node, by offer. `offer_of` tells which offer an engine stands behind."""

    def __init__(self, offer_of: Callable[[Endpoint], str]) -> None:
        self._offer_of = offer_of
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
            tail = b""
            try:
                async with aclosing(post(endpoint, path, body, timeout_s=timeout_s)) as parts:
                    async for part in parts:
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

        return counting
