"""The geometry of charts: ticks, stacking, days without anything."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.web.pages.usage.charts import HEIGHT, LEFT, RIGHT, TOP, WIDTH, round_values, stacked

FIRST = date(2027, 1, 15)


def days(count):
    return [FIRST + timedelta(days=number) for number in range(count)]


def test_parts_are_stacked_on_a_day_in_the_order_of_the_series():
    chart = stacked(days(2), [[30, 0], [10, 20]])
    first, second = chart.bars
    assert [part.series for part in first.parts] == [1, 2]
    lower, upper = first.parts
    assert lower.y + lower.height == pytest.approx(chart.baseline)
    assert upper.y + upper.height == pytest.approx(lower.y)
    assert lower.height == pytest.approx(3 * upper.height)
    assert (first.total, second.total) == (40, 20)
    (only,) = second.parts
    assert only.series == 2
    assert only.height == pytest.approx(2 * upper.height)
    (top,) = [tick.y for tick in chart.values if tick.value == 40]
    assert top == pytest.approx(upper.y), "values and bars have one scale"


def test_days_without_anything_keep_their_place():
    chart = stacked(days(3), [[5, 0, 5]])
    assert [len(bar.parts) for bar in chart.bars] == [1, 0, 1]
    assert chart.bars[2].x - chart.bars[1].x == pytest.approx(chart.bars[1].x - chart.bars[0].x)


@pytest.mark.parametrize("series", [[], [[0, 0, 0]]])
def test_nothing_at_all(series):
    chart = stacked(days(3), series)
    assert [bar.parts for bar in chart.bars] == [(), (), ()]
    assert [tick.value for tick in chart.values] == [0, 1]
    assert stacked([], []).bars == ()


def test_there_are_no_more_series_than_colours():
    with pytest.raises(ValueError, match="5 series at most, not 6"):
        stacked(days(1), [[1]] * 6)


@given(st.integers(1, 366), st.lists(st.integers(0, 10**17), min_size=1, max_size=5))
def test_everything_is_within_the_picture(count, values):
    chart = stacked(days(count), [[value] * count for value in values])
    edge = LEFT
    for bar in chart.bars:
        assert bar.x >= edge - 1e-6
        edge = bar.x + bar.width
        assert all(part.y >= TOP - 1e-6 and part.y + part.height <= chart.baseline + 1e-6 for part in bar.parts)
    assert edge <= WIDTH - RIGHT + 1e-6
    assert 0 < chart.baseline < HEIGHT
    assert 1 <= len(chart.days) <= 6
    assert chart.days[-1].day == chart.bars[-1].day, "the last day has a label"


@given(st.integers(1, 10**18))
def test_ticks_are_round_and_cover_everything(most):
    ticks = round_values(most)
    step = ticks[1]
    assert ticks[0] == 0
    assert ticks[-2] < most <= ticks[-1]
    assert 2 <= len(ticks) <= 6
    assert str(step).rstrip("0") in ("1", "2", "5")
    assert ticks == list(range(0, ticks[-1] + 1, step))
