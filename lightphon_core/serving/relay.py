"""From an offer's chunks to the client's answer: what is paid for is passed on, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import msgspec

from lightphon_core.errors import Unavailable
from lightphon_core.openai.chunks import Chunk
from lightphon_core.openai.forms import VECTORS, Form
from lightphon_core.serving.attempt import Started
from lightphon_core.serving.sinks import Sink
from lightphon_core.serving.upstream import Batch


async def relay(started: Started, sink: Sink, *, n: int, form: Form, monotonic: Callable[[], float]) -> None:
    """Pass the answer, of `n` choices in this `form`, on to `sink`, and count it; only the settlement completes its
    last chunk.

    No chunk is passed on that the wallet does not cover: where it covers no more, the answer ends with "length". Only
    vectors are, since they are all there or not at all: the last of a wallet pays for them. The latest chunk with a
    finish reason is held back until the upstream ends. What comes for a choice that has finished is dropped, and not
    billed.

    Raises `Unavailable` where the upstream ends before all `n` choices have finished, and what `started.work` raises.
    """
    meter, tab = started.meter, started.tab
    held: Chunk | None = None
    finished: set[int] = set()
    async for batch in _batches(started):
        now = monotonic()
        for chunk in batch:
            if any(choice["index"] in finished for choice in chunk.choices):
                continue
            if sink.delivered:
                tab.delivered = tab.terms.cost(meter.measured())
            before = meter.mark()
            meter.see(chunk, now)
            # What carries no output is passed on in any case: it ends the answer, and a charge is never above the hold.
            try:
                covered = await tab.covers(meter.measured())
            except BaseException:  # the client left meanwhile, or the hold is gone
                meter.restore(before)
                raise
            if not covered and chunk.has_output and form is not VECTORS:
                meter.restore(before)
                if held is not None:
                    sink.put(held)
                sink.end(_cut_off(set(range(n)) - finished, form))
                return
            if not chunk.choices:
                continue
            if held is not None:
                sink.put(held)
                held = None
            if chunk.finish_reasons:
                held = chunk
                finished.update(chunk.finish_reasons)
            else:
                sink.put(chunk)
    if held is None or len(finished) < n:
        raise Unavailable("The node broke off before the answer was complete.")
    sink.end(held)


async def _batches(started: Started) -> AsyncGenerator[Batch, None]:
    yield started.first
    while (batch := await started.work.next()) is not None:
        yield batch


def _cut_off(unfinished: set[int], form: Form) -> Chunk:
    """The last chunk of an answer that the wallet no longer covers."""
    choices = [{"index": index, **form.nothing, "finish_reason": "length"} for index in sorted(unfinished)]
    reasons = dict.fromkeys(sorted(unfinished), "length")
    return Chunk(choices, msgspec.json.encode(choices), False, 0, reasons, None)
