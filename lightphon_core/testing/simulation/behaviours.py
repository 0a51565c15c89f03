"""How nodes go wrong. Each says what a node is like at a time. All are pure: every contestant meets the same."""

from __future__ import annotations

import math

from attrs import frozen


@frozen
class Behaviour:
    """A node that does as it should; the others differ in one thing each. Times are in seconds of the timeline."""

    @property
    def name(self) -> str:
        """For counting."""
        return type(self).__name__

    def pace(self, now: float) -> float:
        """Its speed, as a share of what it has at its best."""
        del now
        return 1.0

    def silent_from(self) -> float:
        """When it stops to say anything, though it still takes jobs."""
        return math.inf

    def listed_until(self) -> float:
        """When the gateway notices by itself that the node is not there."""
        return math.inf

    def is_up(self, now: float) -> bool:
        """Whether its engine runs. One that does not fails at once."""
        return self.falls_at(now) > now

    def falls_at(self, now: float) -> float:
        """When its engine falls over next, and with it what runs there; now, if it is down."""
        del now
        return math.inf

    def fails(self, chance: float) -> bool:
        """Whether it fails the next job; `chance` is drawn evenly from 0 to 1."""
        del chance
        return False

    def really_free(self, slots: int) -> int:
        """How many of the slots that it offers it really has."""
        return slots


@frozen
class Steady(Behaviour):
    """Does as it should."""


@frozen
class Dies(Behaviour):
    """Loses its power at `at`. Its heartbeat is missed `unnoticed_s` later; until then it seems to be there."""

    at: float
    unnoticed_s: float = 30.0

    def silent_from(self) -> float:
        return self.at

    def listed_until(self) -> float:
        return self.at + self.unnoticed_s


@frozen
class BlackHole(Behaviour):
    """From `at` on takes jobs and says nothing, while its heartbeat goes on."""

    at: float

    def silent_from(self) -> float:
        return self.at


@frozen
class Flaps(Behaviour):
    """Its engine falls over and is started again: up for `up_s`, down for `down_s`, and so on."""

    up_s: float
    down_s: float
    phase_s: float

    def falls_at(self, now: float) -> float:
        into = (now + self.phase_s) % (self.up_s + self.down_s)
        return now + max(0.0, self.up_s - into)


@frozen
class FailsFast(Behaviour):
    """Fails most jobs at once, so that it is nearly always free and looks like the least busy one."""

    share: float

    def fails(self, chance: float) -> bool:
        return chance < self.share


@frozen
class Degrades(Behaviour):
    """From `at` on gets slower for `over_s` seconds, down to `least` of its speed."""

    at: float
    over_s: float
    least: float

    def pace(self, now: float) -> float:
        gone = min(1.0, max(0.0, (now - self.at) / self.over_s))
        return 1.0 - gone * (1.0 - self.least)


@frozen
class Shared(Behaviour):
    """Somebody else uses it too: only `share` of the slots that it offers are free for us."""

    share: float

    def really_free(self, slots: int) -> int:
        return max(1, int(slots * self.share))
