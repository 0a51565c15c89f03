"""The built-in scorers, registered through the same hook as everyone else's."""

from typing import Any

from lightphon_core.hookspecs import hookimpl
from lightphon_core.host import Host
from lightphon_core.ports import Scorer
from lightphon_core.types import Needs, Offer, Stats

GOOD_SPEED = 50.0
"""Tokens a second that score one half; faster tends to 1."""


class Availability(Scorer):
    """Free slots, as a share of all; what waits, and what failed lately, counts like work in progress."""

    name = "availability"

    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:  # noqa: ARG002 - the port's signature
        taken = stats.load.busy + stats.load.queued + stats.failures
        free = offer.slots - taken
        return free / offer.slots if free > 0 else 0.0


class Speed(Scorer):
    """Tokens a second that this offer was seen to produce; no opinion before the first answer."""

    name = "speed"

    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:  # noqa: ARG002 - the port's signature
        if stats.tokens_per_s is None:
            return None
        return stats.tokens_per_s / (stats.tokens_per_s + GOOD_SPEED)


class Affinity(Scorer):
    """The offer that answered the conversation last, and so may still hold what it computed of the prompt; no opinion
    on a request of which nobody knows what it goes on from.

    Only while it has a free slot: another node has read most prompts anew before a busy one ends an answer, and the
    free slots of a busy node may be those that hold nothing of this conversation.
    """

    name = "affinity"

    def score(self, offer: Offer, needs: Needs, stats: Stats) -> float | None:  # noqa: ARG002 - the port's signature
        if stats.holds_session is None:
            return None
        return float(stats.holds_session and stats.load.busy + stats.load.queued < offer.slots)


class BuiltinScorers:
    """The plugin that brings them."""

    def __init__(self, host: Host[Any]) -> None:
        del host

    @hookimpl
    def register_scorers(self) -> list[Scorer]:
        return [Availability(), Speed(), Affinity()]
