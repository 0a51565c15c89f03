"""Breakers by a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.routing import breakers as module
from lightphon_core.routing.breakers import CHANCE, FAILURES, LONGEST_OPEN_S, Breakers

A, B = ("gguf", "a"), ("gguf", "b")


class Bench:
    """Breakers with their clock; `chance` is what the dice say."""

    def __init__(self):
        self.now = 100.0
        self.chance = 0.0
        self.breakers = Breakers(lambda: self.now, lambda: self.chance)

    def fail(self, key=A, times=FAILURES):
        for _ in range(times):
            assert self.breakers.allows(key)
            self.breakers.failed(self.breakers.began(key))

    def opened_for(self, key=A):
        """How long it is open from now on; the clock stands at the end of it afterwards."""
        seconds = self.breakers.retry_after_s([key])
        assert not self.breakers.allows(key)
        self.now += seconds - 0.001
        assert not self.breakers.allows(key)
        self.now += 0.002
        assert self.breakers.allows(key)
        return seconds


@pytest.fixture
def bench():
    return Bench()


def test_failures_in_a_row_open_it_and_only_its_own(bench):
    bench.fail(times=FAILURES - 1)
    bench.breakers.succeeded(bench.breakers.began(A))
    bench.fail(times=FAILURES - 1)
    assert bench.breakers.allows(A)
    bench.fail(times=1)
    assert not bench.breakers.allows(A)
    assert bench.breakers.allows(B)
    assert bench.breakers.retry_after_s([A]) == pytest.approx(1.0)
    assert bench.breakers.retry_after_s([A, B]) == 0.0
    assert bench.breakers.retry_after_s([]) == 0.0


def test_one_probe_at_a_time_and_each_that_fails_doubles_the_time(bench):
    bench.fail()
    seen = [bench.opened_for()]
    while len(seen) < 9:
        probe = bench.breakers.began(A)
        assert not bench.breakers.allows(A)
        bench.now += 30
        assert not bench.breakers.allows(A), "the probe is still under way"
        bench.breakers.failed(probe)
        seen.append(bench.opened_for())
    assert seen == pytest.approx([1, 2, 4, 8, 16, 32, LONGEST_OPEN_S, LONGEST_OPEN_S, LONGEST_OPEN_S])


def test_a_part_of_the_time_is_left_to_chance(bench):
    bench.chance = 1.0
    bench.fail()
    assert bench.opened_for() == pytest.approx(1.0 - CHANCE)


def test_a_probe_that_says_nothing_gives_its_place_back(bench):
    bench.fail()
    bench.opened_for()
    probe = bench.breakers.began(A)
    bench.breakers.given_up(probe)
    assert bench.breakers.allows(A)
    again = bench.breakers.began(A)
    bench.breakers.failed(probe)  # the one given up has no say any more
    assert not bench.breakers.allows(A)
    bench.breakers.succeeded(again)
    assert bench.breakers.allows(A)


def test_the_first_output_of_a_probe_lets_others_in_but_it_must_end_well(bench):
    bench.fail()
    bench.opened_for()
    probe, other = bench.breakers.began(A), None
    bench.breakers.answered(probe)
    assert bench.breakers.allows(A)
    other = bench.breakers.began(A)
    bench.breakers.failed(probe)  # it broke off
    assert bench.opened_for() == pytest.approx(2.0)
    bench.breakers.answered(bench.breakers.began(A))
    bench.breakers.failed(other)  # of the time before
    assert bench.breakers.allows(A)
    bench.breakers.succeeded(bench.breakers.began(A))
    bench.fail()
    assert bench.opened_for() == pytest.approx(1.0), "all is forgiven"


def test_what_began_before_it_opened_says_nothing_of_what_came_after(bench):
    before = [bench.breakers.began(A) for _ in range(FAILURES + 2)]
    for each in before[:FAILURES]:
        bench.breakers.failed(each)
    bench.breakers.succeeded(before[-1])
    assert not bench.breakers.allows(A)
    bench.opened_for()
    bench.breakers.began(A)
    bench.breakers.failed(before[-2])
    bench.breakers.given_up(before[-2])
    assert not bench.breakers.allows(A), "the probe is still under way"


def test_it_remembers_so_many_and_no_more(bench, monkeypatch):
    monkeypatch.setattr(module, "FORGOTTEN_AFTER", 2)
    for key in ("x", "y"):
        bench.fail((key, key))
    bench.opened_for(("x", "x"))
    bench.fail(("x", "x"), times=1)  # so that it is the latest
    bench.fail(("z", "z"))
    assert [bench.breakers.allows((key, key)) for key in "xyz"] == [False, True, False]


@given(
    st.lists(st.tuples(st.sampled_from(["begin", "answer", "succeed", "fail", "give up", "wait"]), st.integers(0, 3)))
)
def test_never_two_probes_and_never_shut_for_good(steps):
    """Whatever happens in whatever order: while it is open one attempt is under way at most, and a minute after all
    have ended the next is let in."""
    bench = Bench()
    breakers, under_way, probes = bench.breakers, [], []
    ends = {"succeed": breakers.succeeded, "fail": breakers.failed, "give up": breakers.given_up}
    for what, number in steps:
        if what == "wait":
            bench.now += 2.0**number
        elif what == "begin" and breakers.allows(A):
            fresh = breakers.retry_after_s([A]) == 0 and breakers._breakers.get(A) is not None
            is_probe = fresh and breakers._breakers[A].open_until is not None
            trial = breakers.began(A)
            under_way.append(trial)
            if is_probe:
                assert not probes
                probes.append(trial)
                assert not breakers.allows(A)
        elif under_way and what in ends:
            trial = under_way.pop(number % len(under_way))
            ends[what](trial)
            probes = [each for each in probes if each is not trial]
        elif under_way and what == "answer":
            trial = under_way[number % len(under_way)]
            breakers.answered(trial)
            probes = [each for each in probes if each is not trial]
    for trial in under_way:
        breakers.given_up(trial)
    bench.now += LONGEST_OPEN_S
    assert breakers.allows(A)
