"""One simulated node: takes jobs, and says what becomes of them."""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from collections.abc import Callable

from attrs import define, field, frozen

from lightphon_core.errors import BackendError, Overloaded, Unavailable
from lightphon_core.testing.simulation.behaviours import Behaviour
from lightphon_core.testing.simulation.timeline import Event, Timeline
from lightphon_core.types import Load, Offer

FAILS_AFTER_S = 0.05
"""How long a node takes to fail a job."""
BATCH_COST = 0.1
"""How much slower each answer becomes for every other one that runs on the node."""
JITTER = 0.15
"""Sigma of the log-normal by which one answer differs from the next."""


@frozen
class NodePlan:
    """What a node is. Speeds are those of one answer alone; `latency_s` passes before it reads the prompt.

    One that `drains` ends the answers it has begun before it leaves; the others break them off.
    """

    offer: Offer
    tokens_per_s: float
    prompt_tokens_per_s: float
    latency_s: float
    behaviour: Behaviour
    joins_at: float = 0.0
    leaves_at: float = math.inf
    drains: bool = False

    @property
    def listed_until(self) -> float:
        """When its offer leaves the catalogue."""
        return min(self.leaves_at, self.behaviour.listed_until())

    @property
    def breaks_off_at(self) -> float:
        """When it takes what runs there with it."""
        return self.behaviour.listed_until() if self.drains else self.listed_until


@frozen
class Work:
    """What a job asks of a node. `conversation` is what a node knows a prefix by."""

    conversation: int
    prompt_tokens: int
    answer_tokens: int
    luck: random.Random = field(repr=False)


@define(eq=False)
class Run:
    """A job on a node, and who hears of it: at most one of `done` and `failed`, and `first` before `done`."""

    first: Callable[[], None]
    done: Callable[[], None]
    failed: Callable[[BackendError], None]
    _events: list[Event] = field(factory=list)
    _release: Callable[[], None] | None = None

    def cancel(self) -> None:
        """Nothing more is heard of it, and its slot is free."""
        for event in self._events:
            event.cancel()
        if self._release is not None:
            self._release()
            self._release = None

    def later(self, timeline: Timeline, when: float, then: Callable[[], None]) -> None:
        """At `when` the job ends, and `then` is called."""

        def end() -> None:
            self.cancel()
            then()

        self._events.append(timeline.at(when, end))

    def begins(self, timeline: Timeline, when: float) -> None:
        """At `when` the first output comes."""
        self._events.append(timeline.at(when, self.first))

    def holds(self, release: Callable[[], None]) -> None:
        """The job has a slot, which `release` gives back."""
        self._release = release


class SimulatedNode:
    """A node at work. `loaded` hears of its offer's load whenever that changes."""

    def __init__(self, plan: NodePlan, timeline: Timeline, loaded: Callable[[str, Load], None]) -> None:
        self.plan = plan
        self._busy = 0
        self._timeline = timeline
        self._loaded = loaded
        self._prefixes: OrderedDict[int, int] = OrderedDict()

    @property
    def is_listed(self) -> bool:
        """Whether its offer is in the catalogue."""
        return self.plan.joins_at <= self._timeline.now < self.plan.listed_until

    def start(self, work: Work, run: Run) -> None:
        """Take a job. What becomes of it is told to `run` later, never before this returns."""
        now, plan = self._timeline.now, self.plan
        behaviour, slots = plan.behaviour, plan.offer.slots
        chance, jitter = work.luck.random(), math.exp(work.luck.gauss(0.0, JITTER))
        if not self.is_listed:
            return run.later(self._timeline, now, lambda: run.failed(Unavailable("The node has gone.")))
        if self._busy >= behaviour.really_free(slots):
            return run.later(self._timeline, now + FAILS_AFTER_S, lambda: run.failed(Overloaded("The node is busy.")))
        self._count(1)
        run.holds(lambda: self._count(-1))
        if not behaviour.is_up(now) or behaviour.fails(chance):
            return self._break_off(run, now + FAILS_AFTER_S)
        pace = behaviour.pace(now) / jitter
        known = min(self._prefixes.get(work.conversation, 0), work.prompt_tokens)
        first = now + (plan.latency_s + (work.prompt_tokens - known) / plan.prompt_tokens_per_s) / pace
        done = first + work.answer_tokens / (plan.tokens_per_s * pace) * (1 + BATCH_COST * (self._busy - 1))
        silent = behaviour.silent_from()
        broken = min(behaviour.falls_at(now), plan.breaks_off_at)
        if first < min(silent, broken):
            run.begins(self._timeline, first)
        if done < min(silent, broken):
            return run.later(self._timeline, done, lambda: self._answered(work, run))
        return self._break_off(run, broken)

    def _count(self, jobs: int) -> None:
        self._busy += jobs
        self._loaded(self.plan.offer.id, Load(self._busy))

    def _break_off(self, run: Run, when: float) -> None:
        """A job that nobody will ever hear of again has no end of its own: whoever waits for it gives up."""
        if when < math.inf:
            run.later(self._timeline, when, lambda: run.failed(Unavailable("The node broke off.")))

    def _answered(self, work: Work, run: Run) -> None:
        """An engine keeps a prefix for each slot, and forgets the oldest."""
        self._prefixes[work.conversation] = work.prompt_tokens + work.answer_tokens
        self._prefixes.move_to_end(work.conversation)
        if len(self._prefixes) > self.plan.offer.slots:
            self._prefixes.popitem(last=False)
        run.done()
