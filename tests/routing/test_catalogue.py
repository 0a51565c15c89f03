"""The snapshot of what is on offer: read when told, kept up to date by what changed, whole when a backend fails."""

import pytest
from attrs import evolve

from lightphon_core import Backend, Capability, Load, Model, Needs, Node, Offer, Price, PriceInForce, PriceSource
from lightphon_core.errors import NoNodesAvailable
from lightphon_core.routing.catalogue import RETRY_S, Catalogue
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.router import Router, Weighted
from lightphon_core.routing.scorers.availability import Availability

CHAT = frozenset({Capability.CHAT})
NEEDS = Needs("/v1/chat/completions", None, CHAT)


class Shelf(Backend):
    """`read` and `asked` count how often it told its offers and its loads; it raises while it `fails`."""

    def __init__(self, *offers: Offer, name: str = "shelf") -> None:
        self.name = name
        self.stock = list(offers)
        self.busy = {}
        self.read = self.asked = 0
        self.fails: set[str] = set()

    def offers(self):
        self.read += 1
        if "offers" in self.fails:
            raise KeyError("offers")
        return list(self.stock)

    def load(self):
        self.asked += 1
        if "load" in self.fails:
            raise KeyError("load")
        return Broken() if "get" in self.fails else self.busy

    def serve(self, job):
        raise AssertionError("nothing is served here")


class Broken(dict):
    def get(self, key, default=None):
        raise KeyError(key)


class Watcher:
    def __init__(self) -> None:
        self.heard = []

    def added(self, entry):
        self.heard.append(("+", entry.offer.id))

    def removed(self, entry):
        self.heard.append(("-", entry.offer.id))


def offer(id: str, model: str = "m", **facts) -> Offer:  # noqa: A002
    known = {"capabilities": CHAT, "context_length": 1000, **facts}
    return Offer(id, Model(model, **known), Node(f"n-{id}", id), 4)


def router_of(catalogue: Catalogue, **more) -> Router:
    free = PriceInForce(Price(), PriceSource.DEFAULT)
    return Router(catalogue, [Weighted(Availability(), 1.0)], Observations(lambda: 0.0), lambda _: free, **more)


def ids(ranking) -> list[str]:
    return [each.entry.offer.id for each in ranking.candidates]


def test_it_reads_again_only_when_told():
    shelf = Shelf(offer("a", "x"))
    catalogue = Catalogue([shelf], lambda: 7.0)
    for _ in range(3):
        assert [listed.model.id for listed in catalogue.models()] == ["x"]
    assert shelf.read == 1
    shelf.stock = [offer("b", "y")]
    catalogue.invalidate()
    assert [listed.model.id for listed in catalogue.models()] == ["y"]
    assert catalogue.was_offered("x")
    assert not catalogue.was_offered("z")


def test_one_model_on_several_nodes_is_listed_once():
    able = CHAT | {Capability.TOOLS}
    shelf = Shelf(
        offer("a", context_length=100), offer("b", context_length=None), offer("c", capabilities=able, maker="qwen")
    )
    catalogue = Catalogue([shelf], lambda: 7.0)
    (listed,) = catalogue.models()
    assert (listed.nodes_online, listed.created) == (3, 7)
    assert (listed.model.capabilities, listed.model.context_length, listed.model.maker) == (able, 1000, "qwen")
    del shelf.stock[2]
    catalogue.invalidate()
    (listed,) = catalogue.models()
    assert (listed.nodes_online, listed.model.context_length, listed.model.maker) == (2, 100, None)


def test_a_model_keeps_the_time_it_was_first_offered():
    now = 7.0
    shelf = Shelf(offer("a"))
    catalogue = Catalogue([shelf], lambda: now)
    catalogue.models()
    for stock in ([], [offer("b")], [evolve(offer("b"), slots=1)]):
        now += 10
        shelf.stock = stock
        catalogue.invalidate()
        assert [listed.created for listed in catalogue.models()] == [7] * len(stock)


def test_only_what_changed_is_made_anew():
    shelf = Shelf(offer("a"), offer("b"), offer("c"))
    catalogue, watcher = Catalogue([shelf], lambda: 0.0), Watcher()
    catalogue.watch(watcher)
    before = {entry.offer.id: entry for entry in catalogue.entries()}
    assert watcher.heard == [("+", "a"), ("+", "b"), ("+", "c")]
    shelf.stock = [offer("a"), evolve(offer("c"), slots=9), offer("d")]  # equal to "a", and another object
    catalogue.invalidate()
    after = {entry.offer.id: entry for entry in catalogue.entries()}
    assert after["a"] is before["a"]
    assert after["c"].offer.slots == 9
    assert sorted(after) == ["a", "c", "d"]
    assert watcher.heard[3:] == [("-", "b"), ("-", "c"), ("+", "c"), ("+", "d")]


def test_loads_are_read_once_for_a_ranking_and_anew_for_the_next():
    shelf = Shelf(*(offer(f"o{i}") for i in range(30)))
    catalogue = Catalogue([shelf], lambda: 0.0)
    router = router_of(catalogue)
    router.rank(NEEDS)
    assert shelf.asked == 1
    shelf.busy = {f"o{i}": Load(busy=4) for i in range(30) if i != 17}
    assert ids(router.rank(NEEDS))[0] == "o17"
    assert shelf.asked == 2
    entry = catalogue.entries()[0]
    assert entry.load() == Load(busy=4)
    shelf.busy = {}
    assert entry.load() == Load(), "outside of rankings it is as the backend says now"


@pytest.mark.parametrize("broken", ["load", "get"])
def test_a_backend_that_fails_to_tell_its_load_is_left_out_and_said_once(broken, caplog):
    good, bad = Shelf(offer("a"), name="good"), Shelf(offer("b"), offer("c"), name="bad")
    router = router_of(Catalogue([bad, good], lambda: 0.0))
    for _ in range(2):
        bad.fails = {broken}
        for _ in range(3):
            ranking = router.rank(NEEDS)
            assert (ids(ranking), ranking.excluded) == (["a"], {"failing": 2})
        assert caplog.text.count("failed to say how busy") == 1
        caplog.clear()
        bad.fails = set()
        assert sorted(ids(router.rank(NEEDS))) == ["a", "b", "c"]
    bad.fails = {broken}
    assert [entry.load() for entry in router.catalogue.entries()] == [Load()] * 3, "pages are shown all the same"
    good.stock = []
    router.catalogue.invalidate()
    with pytest.raises(NoNodesAvailable):
        router.rank(NEEDS)


def test_a_backend_that_fails_to_tell_its_offers_is_left_out_until_it_works_again(caplog):
    now = 0.0
    good, bad = Shelf(offer("a"), name="good"), Shelf(offer("b"), name="bad")
    bad.fails = {"offers"}
    router = router_of(Catalogue([bad, good], lambda: now))
    for _ in range(5):
        assert ids(router.rank(NEEDS)) == ["a"]
    assert bad.read == 1, "it is left alone for a while"
    now += RETRY_S
    assert ids(router.rank(NEEDS)) == ["a"]
    assert (bad.read, good.read) == (2, 1)
    assert caplog.text.count("failed to say what it offers") == 1
    caplog.clear()
    bad.fails = set()
    now += RETRY_S
    assert sorted(ids(router.rank(NEEDS))) == ["a", "b"]
    bad.fails = {"offers"}
    router.catalogue.invalidate()
    assert ids(router.rank(NEEDS)) == ["a"]
    assert caplog.text.count("failed to say what it offers") == 1
