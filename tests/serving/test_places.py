"""A node that keeps an attempt waiting gets no others, as long as another node has room."""

import pytest

from lightphon_core import Backend, Model, Node, Offer
from lightphon_core.routing.breakers import Breakers
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.occupancy import OVERDUE_S, Occupancy
from lightphon_core.routing.router import Router
from lightphon_core.serving.places import Place, Places
from lightphon_core.testing.simulation.contestants import default_scorers
from lightphon_core.types import Needs, Price, PriceInForce, PriceSource

ANY = Needs("/v1/chat/completions", None, frozenset())


class Two(Backend):
    """Two nodes with the same model."""

    name = "two"

    def offers(self):
        return [Offer(name, Model("m"), Node(name, name), slots=8) for name in ("a", "b")]

    def load(self):
        return {}

    def serve(self, job):
        raise AssertionError("nothing is served here")


@pytest.mark.parametrize("speaks", [Place.answered, Place.leave])
def test_an_overdue_attempt_sends_others_elsewhere(speaks):
    now = 0.0

    def clock():
        return now

    occupancy, observations, breakers = Occupancy(clock), Observations(clock), Breakers(clock, lambda: 0.5)
    places = Places(occupancy, breakers, observations)
    free = PriceInForce(Price(), PriceSource.NODE)
    router = Router(Catalogue([Two()], clock), default_scorers(), observations, lambda _: free, load=occupancy.load)

    silent = places.take(router.rank(ANY).candidates)
    assert silent is not None
    (other,) = (each for each in router.rank(ANY).candidates if each.entry is not silent.entry)
    for _ in range(2):
        place = places.take([other])
        assert place is not None
        place.answered()
    assert router.rank(ANY).candidates[0].entry is silent.entry, "it has less to do"
    now += OVERDUE_S
    assert router.rank(ANY).candidates[0].entry is other.entry
    assert places.take(router.rank(ANY).candidates[1:]) is not None, "it is the last choice, and still one"
    speaks(silent)
    assert router.rank(ANY).candidates[0].entry is not other.entry
