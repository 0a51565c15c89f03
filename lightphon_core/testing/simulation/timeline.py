"""A clock that only moves when something happens."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from attrs import define


@define(eq=False)
class Event:
    """Something that is to happen, unless it is cancelled before."""

    action: Callable[[], None] | None

    def cancel(self) -> None:
        """It does not happen. Does nothing to an event that is over."""
        self.action = None


class Timeline:
    """What is to come, soonest first; what comes at the same time, in the order in which it was said. `now` is the
    virtual time, in seconds from 0."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Event]] = []
        self._numbers = itertools.count()

    def monotonic(self) -> float:
        """The virtual time, for whatever takes a clock."""
        return self.now

    def at(self, when: float, action: Callable[[], None]) -> Event:
        """Have `action` called at `when`; at once, but after what is under way, if that has passed."""
        event = Event(action)
        heapq.heappush(self._events, (max(when, self.now), next(self._numbers), event))
        return event

    def after(self, seconds: float, action: Callable[[], None]) -> Event:
        """Have `action` called so many seconds from now."""
        return self.at(self.now + seconds, action)

    def run(self) -> None:
        """Until nothing is left to happen."""
        while self._events:
            when, _, event = heapq.heappop(self._events)
            if event.action is not None:
                self.now = when
                event.action()
