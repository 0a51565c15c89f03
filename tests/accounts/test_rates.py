"""The rule of what may happen only so often a minute, as plain arithmetic."""

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.accounts.rates import MINUTE_US, Draw, Rate, drawn, given_back, standing, wait

per_minutes = st.integers(1, 6000)
gaps = st.integers(0, 2 * MINUTE_US)


@frozen
class Step:
    """After `gap` microseconds, somebody asks for `amount`."""

    gap: int
    amount: int


steps = st.lists(st.builds(Step, st.integers(0, MINUTE_US // 2), st.integers(1, 40)), max_size=40)


def rate(per_minute: int) -> Rate:
    return Rate("key:a", "requests", per_minute, "this key")


@given(per_minutes)
def test_a_minutes_worth_may_come_at_once_and_then_one_each_share(per_minute):
    each, until = Draw(rate(per_minute)).share, 0
    for count in range(per_minute):
        assert standing(rate(per_minute), until, 0).remaining == per_minute - count
        assert wait(each, until, 0) == 0
        until = drawn(each, until, 0)
    assert standing(rate(per_minute), until, 0).remaining == 0
    ahead = wait(each, until, 0)
    assert 0 < ahead <= each
    assert wait(each, until, ahead) == 0
    assert wait(each, until, ahead - 1) == 1


@given(st.integers(40, 2000), steps)
def test_no_minute_has_more_than_twice_its_worth_and_no_long_run_more_than_its_rate(per_minute, asked):
    """What was admitted in any stretch of time is at most what the stretch pays back, and one minute's worth."""
    until = now = 0
    admitted: list[tuple[int, int]] = []
    for step in asked:
        now += step.gap
        share = Draw(rate(per_minute), step.amount).share
        if not wait(share, until, now):
            until = drawn(share, until, now)
            admitted.append((now, step.amount))
    for first, (began, _) in enumerate(admitted):
        total = 0
        for ended, amount in admitted[first:]:
            total += amount
            # One more for shares that are rounded down.
            assert total <= (ended - began + MINUTE_US) * per_minute / MINUTE_US + 1


@given(per_minutes, st.integers(1, 10), gaps)
def test_more_than_a_minutes_worth_waits_until_nothing_is_owed(per_minute, times, owed):
    share = Draw(rate(per_minute), per_minute * times + 1).share
    assert wait(share, owed, 0) == owed
    assert drawn(share, owed, 0) == owed + share


@given(st.integers(0, MINUTE_US), gaps, gaps, st.lists(st.tuples(gaps, gaps), max_size=5))
def test_giving_back_never_leaves_less_owed_than_without_the_draw(share, owed, passed, others):
    with_it, without, now = drawn(share, owed, 0), owed, 0
    for gap, other in others:
        now += gap
        with_it, without = drawn(other, with_it, now), drawn(other, without, now)
    now += passed
    assert max(0, with_it - now) >= max(0, given_back(share, with_it, now, since=0) - now) >= max(0, without - now)


@given(st.integers(0, MINUTE_US), gaps)
def test_given_back_at_once_it_was_as_if_never_drawn(share, owed):
    assert given_back(share, drawn(share, owed, 0), 0, since=0) == owed


def test_a_clock_that_went_back_gives_no_more_back_than_was_had():
    assert given_back(600, 1_000, 100, since=50_000) == 400


def test_debt_shows_as_nothing_left():
    shown = standing(rate(60), 3 * MINUTE_US, 0)
    assert (shown.unit, shown.limit, shown.remaining, shown.reset_s) == ("requests", 60, 0, 180.0)


def test_what_is_kept_tells_no_name_and_tells_rates_apart():
    secret = Rate("name:hunter2-password", "log-in attempts", 10, "this name")
    assert "hunter2" not in secret.key
    assert len({secret.key, rate(1).key, Rate("key:a", "tokens", 1, "this key").key}) == 3
    assert rate(1).key != rate(2).key  # one that is changed begins anew
