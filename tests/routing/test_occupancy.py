"""What the gateway itself knows of how busy an offer is."""

import pytest

from lightphon_core import Backend, Load, Model, Node, Offer
from lightphon_core.routing.catalogue import Entry
from lightphon_core.routing.occupancy import LONGEST_FULL_S, OVERDUE_S, Occupancy


class Silent(Backend):
    name = "silent"
    loads: object = None

    def offers(self):
        return ()

    def load(self):
        return {} if self.loads is None else self.loads()

    def serve(self, job):
        raise AssertionError("nothing is served here")


@pytest.fixture
def backend():
    return Silent()


@pytest.fixture
def entries(backend):
    return [Entry(backend, Offer(name, Model("m"), Node(name, name), slots=2)) for name in ("a", "b")]


def test_the_backends_word_or_the_own_count_whichever_is_more(backend, entries):
    occupancy = Occupancy(lambda: 0.0)
    a, b = entries
    assert occupancy.load(a) == Load()
    occupancy.took(a.key)
    assert occupancy.load(a).busy == 1
    backend.loads = lambda: {"a": Load(busy=2, queued=3), "b": Load(busy=1)}
    assert occupancy.load(a) == Load(busy=2, queued=3)
    assert occupancy.with_room(entries) == {b.key}
    backend.loads = None
    occupancy.took(a.key)
    assert not occupancy.has_room(a, Load()), "two in one moment do not both get the last slot"
    occupancy.left(a.key)
    assert occupancy.with_room(entries) == {a.key, b.key}
    assert occupancy.has_room(a, Load(), slots=1)
    assert not occupancy.has_room(a, Load(), slots=2), "one of its two is taken"
    occupancy.took(b.key, 2)
    assert occupancy.with_room(entries) == {a.key}


def test_one_that_says_it_is_full_is_left_alone_for_as_long_as_it_says(entries):
    now = 10.0
    occupancy = Occupancy(lambda: now)
    a, b = entries
    occupancy.overloaded(a.key, 7.0)
    occupancy.overloaded(b.key, 10_000.0)
    assert (occupancy.full_for_s(a.key), occupancy.full_for_s(b.key)) == (7.0, LONGEST_FULL_S)
    assert occupancy.with_room(entries) == set()
    now = 17.0
    assert occupancy.with_room(entries) == {a.key}
    occupancy.overloaded(a.key, None)
    assert occupancy.full_for_s(a.key) == 1.0


def test_an_offer_with_an_overdue_attempt_is_as_good_as_full_until_it_says_something(entries):
    now = 10.0
    occupancy = Occupancy(lambda: now)
    new, known = entries
    for entry, ttft_s in ((new, None), (known, 2.0)):
        for attempt in ("first", "second"):
            occupancy.awaits(entry.key, attempt, ttft_s)
            now += 1.0
        occupancy.took(entry.key)
    now = 14.9
    assert [occupancy.load(entry) for entry in entries] == [Load(busy=1), Load(busy=1)]
    now = 10.0 + OVERDUE_S
    assert [occupancy.load(entry) for entry in entries] == [Load(busy=1, queued=2), Load(busy=1)]
    assert occupancy.has_room(new, occupancy.load(new)), "where there is no other it may be tried"
    occupancy.heard(new.key, "first")
    assert not occupancy.is_overdue(new.key)
    now = 16.0
    assert occupancy.is_overdue(new.key)
    occupancy.heard(new.key, "second")
    occupancy.heard(new.key, "second")
    assert not occupancy.is_overdue(new.key)
    now = 19.9
    assert not occupancy.is_overdue(known.key)
    now = 20.0
    assert occupancy.is_overdue(known.key), "four times what it usually takes, from when the first began"


def test_nothing_of_a_backend_that_fails_to_say_how_busy_it_is_has_room(backend, entries):
    def broken():
        raise OSError("no longer there")

    backend.loads = broken
    assert Occupancy(lambda: 0.0).with_room(entries) == set()
