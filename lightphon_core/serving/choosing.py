"""The offers that one request may still be tried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightphon_core.errors import NoNodesAvailable, RequestError
from lightphon_core.routing.router import Ranked, Router
from lightphon_core.routing.shortlist import ENOUGH
from lightphon_core.serving.places import Place, Places
from lightphon_core.types import Needs, OfferKey

STALE_S = 1.0
"""How old a ranking may be for those who wait."""


class Choice:
    """What the router ranks for one request, without what was dropped. `ranked` is its first ranking, made at `now`.

    `candidates` are those of the latest one, `keys` theirs; `problem` is why it found nothing. `waits` is set
    while it waits for a slot, and stays so if it gets none.
    """

    def __init__(
        self,
        router: Router,
        places: Places,
        needs: Needs,
        allowed: frozenset[str] | None,
        ranked: Sequence[Ranked],
        now: float,
    ) -> None:
        self._router = router
        self._places = places
        self._needs = needs
        self._allowed = allowed
        self._dropped: set[OfferKey] = set()
        self.problem: NoNodesAvailable | None = None
        self.waits = False
        self._keep(ranked, now)

    @property
    def slots(self) -> int:
        """Of all its offers together."""
        return sum(each.entry.offer.slots for each in self.candidates)

    def rank_anew(self, now: float) -> None:
        """Ask the router again. Where it has nothing at this moment, nothing is left to take until the next time."""
        ranked: Sequence[Ranked] = ()
        self.problem = None
        try:
            ranked = self._router.rank(self._needs, allowed=self._allowed).candidates
        except NoNodesAvailable as problem:
            self.problem = problem
        except RequestError:  # what remains on offer at this moment cannot do it; what was there before could
            pass
        self._keep(ranked, now)

    def is_stale(self, now: float) -> bool:
        """Whether what it knows may be of the past: the offers have changed, or some time has gone by."""
        return now - self._ranked_at >= STALE_S or self._router.catalogue.entries() is not self._entries

    def fits(self, free: Mapping[OfferKey, int]) -> bool:
        """Whether one of its offers has a free slot for each choice that is asked for."""
        return any(free.get(key, 0) >= self._needs.choices for key in self.keys)

    @property
    def is_short(self) -> bool:
        """Whether there may be offers for it that the router did not name, because it named enough others."""
        return len(self.candidates) >= ENOUGH or self._needs.filters.limit is not None

    def drop(self, key: OfferKey) -> None:
        """This offer is not to be tried again."""
        self._dropped.add(key)
        self._keep(self.candidates, self._ranked_at)

    def take(self) -> Place | None:
        """A slot, or one for each choice that is asked for, of the best offer that has them free."""
        return self._places.take(self.candidates, self._needs.choices)

    def closed_for_s(self) -> float:
        """Seconds for which it is of no use to wait."""
        return self._places.closed_for_s(self.keys)

    def _keep(self, ranked: Sequence[Ranked], now: float) -> None:
        self.candidates = [each for each in ranked if each.entry.key not in self._dropped]
        self.keys = frozenset(each.entry.key for each in self.candidates)
        self._ranked_at = now
        self._entries = self._router.catalogue.entries()
