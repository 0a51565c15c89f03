"""What an offer does for one job, in a task of its own: however a backend behaves, whoever reads can leave at once."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from lightphon_core.errors import TimedOut, Unavailable
from lightphon_core.host import Tasks
from lightphon_core.openai.request import InferenceRequest
from lightphon_core.serving.upstream import Batch, checked

MOST_UNREAD = 16
"""Batches that wait to be read before the backend has to."""
END_S = 1.0
"""How long a backend that is told to stop is waited for. One that takes longer goes on stopping by itself."""


class Work:
    """Reads what the backend sends, `raw`, up to the end of the answer to `request`. `ended` is called once the backend
    has let go of the job; with what it raised where nobody reads on, after the end or after `stop`."""

    def __init__(
        self,
        raw: AsyncGenerator[bytes, None],
        request: InferenceRequest,
        tasks: Tasks,
        *,
        name: str,
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._unread: deque[Batch] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._complete = False
        self._stopped = False
        self._error: Exception | None = None
        self._sent_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._ended = ended
        self._task = tasks.spawn(self._read(raw, request), name=name)
        # Not in the task, which may be cancelled before its first step.
        self._task.add_done_callback(self._has_ended)

    def expect_more(self, within_s: float) -> None:
        """From now on `next` raises `TimedOut` when the backend has been silent for so long. It is not while it waits
        for its reader."""
        self._sent_at = asyncio.get_running_loop().time()
        self._listen(within_s)

    def _listen(self, within_s: float) -> None:
        # One timer that looks now and then: setting one anew for each batch would cost more than the batch.
        loop = asyncio.get_running_loop()
        left = within_s if self._unread else self._sent_at + within_s - loop.time()
        if left > 0:
            self._watch = loop.call_later(left, self._listen, within_s)
        elif not self._complete and not self._stopped:
            self._error = TimedOut("The model stopped in the middle of its answer and did not go on. Try again.")
            self._changed.set()

    async def next(self) -> Batch | None:
        """The next batch, as soon as there is one; None at the end. Raises what the backend raised."""
        while not self._unread:
            if self._complete:
                return None
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        self._room.set()
        return self._unread.popleft()

    async def stop(self) -> None:
        """Cancel what the backend still does, and wait, for `END_S` at most, until it has let go."""
        self._stopped = True
        self._task.cancel()
        if not self._task.done():
            await asyncio.wait({self._task}, timeout=END_S)

    async def _read(self, raw: AsyncGenerator[bytes, None], request: InferenceRequest) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(raw), aclosing(checked(raw, request)) as batches:
                async for batch in batches:
                    if self._stopped:
                        break  # it was told to stop, and went on
                    while len(self._unread) >= MOST_UNREAD:
                        self._room.clear()
                        await self._room.wait()
                    self._unread.append(batch)
                    self._sent_at = loop.time()
                    self._changed.set()
                # The answer is complete, whatever the backend still does.
                self._complete = True
                self._changed.set()
        except asyncio.CancelledError:
            pass  # as the last thing it does: the task would keep the traceback, in whose frames the job is
        except Exception as error:  # noqa: BLE001 - for the reader to judge
            _let_go(error)
            self._error = error

    def _has_ended(self, _: asyncio.Task[None]) -> None:
        if self._watch is not None:
            self._watch.cancel()
        unheard = self._stopped or self._complete
        if self._error is None and not unheard:
            self._error = Unavailable("The backend gave the job up.")
        self._changed.set()
        self._ended(self._error if unheard else None)


def _let_go(error: BaseException) -> None:
    """Forget what the code that failed had in hand, the job above all: an exception may live long, and its traceback
    with it. Where it failed can still be told."""
    led_to_it: list[BaseException] = []
    latest: BaseException | None = error
    while latest is not None and latest not in led_to_it:
        traceback.clear_frames(latest.__traceback__)
        led_to_it.append(latest)
        latest = latest.__cause__ or latest.__context__
