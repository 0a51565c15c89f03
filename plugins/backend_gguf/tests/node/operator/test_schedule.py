"""When a schedule lets a node take jobs."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightphon_backend_gguf.node.operator.schedule import DAYS, parse_schedule

MONDAY = datetime(2026, 11, 23)  # noqa: DTZ001 - local time is what a schedule is in
times = st.integers(0, 23).flatmap(lambda hour: st.integers(0, 59).map(lambda minute: f"{hour:02d}:{minute:02d}"))


def at(day, time):
    hour, minute = map(int, time.split(":"))
    return MONDAY + timedelta(days=DAYS.index(day), hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("windows", "opened", "closed"),
    [
        (
            ["22:00-08:00"],
            ["mon 22:00", "mon 07:59", "sun 23:59", "mon 00:00"],
            ["mon 21:59", "mon 08:00", "fri 12:00"],
        ),
        (["9:30 - 17:00"], ["wed 09:30", "wed 16:59"], ["wed 09:29", "wed 17:00"]),
        # A night belongs to the day on which it begins.
        (["sun 22:00-06:00"], ["sun 22:00", "mon 05:59"], ["sun 05:00", "mon 06:00", "mon 22:00"]),
        (["Mon-Fri 18:00-24:00", "sat,sun 00:00-24:00"], ["fri 18:00", "sat 00:00", "sun 23:59"], ["mon 00:00"]),
        (["fri-mon 00:00-24:00"], ["fri 00:00", "sun 12:00", "mon 23:59"], ["tue 00:00", "thu 23:59"]),
    ],
)
def test_windows(windows, opened, closed):
    schedule = parse_schedule(windows)
    assert [when for when in opened if not schedule.is_open(at(*when.split()))] == []
    assert [when for when in closed if schedule.is_open(at(*when.split()))] == []


def test_the_next_change():
    schedule = parse_schedule(["22:00-08:00", "07:00-09:00"])
    assert schedule.next_change(at("mon", "21:00") + timedelta(seconds=30)) == at("mon", "22:00")
    assert schedule.next_change(at("mon", "06:00")) == at("mon", "09:00")  # they overlap
    assert schedule.next_change(at("mon", "22:00")) == at("tue", "09:00")
    assert parse_schedule(["sun 10:00-11:00"]).next_change(at("sun", "11:00")) == at("sun", "10:00") + timedelta(days=7)
    assert parse_schedule(["00:00-24:00"]).next_change(at("mon", "00:00")) is None
    assert parse_schedule([]) is None


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(times, times).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=3), st.integers(0)
)
def test_it_does_not_change_before_it_says_so(pairs, minute):
    schedule = parse_schedule([f"{start}-{end}" for start, end in pairs])
    now = MONDAY + timedelta(minutes=minute % 10_080)
    change = schedule.next_change(now)
    if change is None:
        change = now + timedelta(days=8)
    else:
        assert schedule.is_open(change) != schedule.is_open(now)
    for step in range(0, int((change - now).total_seconds()) // 60, 13):
        assert schedule.is_open(now + timedelta(minutes=step)) == schedule.is_open(now)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("always", "is not like"),
        ("22:00", "is not like"),
        ("25:00-08:00", "no time of the day"),
        ("24:01-08:00", "no time of the day"),
        ("22:60-08:00", "no time of the day"),
        ("22-08", "no time of the day"),
        ("24:00-08:00", "no stretch"),
        ("08:00-08:00", "no stretch"),
        ("funday 22:00-08:00", "is not a day; the days are mon, tue"),
        ("mon- 22:00-08:00", "is not a day"),
    ],
)
def test_what_is_no_window(text, message):
    with pytest.raises(ValueError, match=message):
        parse_schedule([text])
