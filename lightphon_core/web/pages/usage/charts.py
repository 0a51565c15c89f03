"""Charts as geometry: bars by day, stacked, with their ticks, for an inline SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

from attrs import frozen

WIDTH: Final = 720
HEIGHT: Final = 260
LEFT: Final = 84
RIGHT: Final = 40
"""Room for the labels of the values, and for half of the last day's; on a phone they are larger."""
TOP: Final = 16
BOTTOM: Final = 36
MOST_SERIES: Final = 5
"""As many as there are colours that can be told apart."""
_FILLED: Final = 0.78
"""How much of a day's room its bar takes."""
_WIDEST: Final = 44.0
_LABELS: Final = 6
"""The most labels of days."""
_STEPS: Final = (1, 2, 5, 10)


@frozen
class Part:
    """A rectangle of a bar. `series` is which, from 1."""

    y: float
    height: float
    series: int


@frozen
class Bar:
    """A day: where it stands, and its parts from the bottom up. `total` is of all of them."""

    day: date
    x: float
    width: float
    parts: tuple[Part, ...]
    total: int


@frozen
class ValueTick:
    """A line across at a round value."""

    y: float
    value: int


@frozen
class DayTick:
    """A label below a day; `x` is its middle."""

    x: float
    day: date


@frozen
class Chart:
    """What is drawn within `WIDTH` by `HEIGHT`."""

    bars: tuple[Bar, ...]
    values: tuple[ValueTick, ...]
    days: tuple[DayTick, ...]
    baseline: float


def stacked(days: Sequence[date], series: Sequence[Sequence[int]]) -> Chart:
    """Bars of these days, one value of each series for each day, none of them below 0. The first series lies at the
    bottom."""
    if len(series) > MOST_SERIES:
        raise ValueError(f"A chart shows {MOST_SERIES} series at most, not {len(series)}.")
    totals = [sum(values) for values in zip(*series, strict=True)] if series else [0] * len(days)
    ticks = round_values(max(totals, default=0))
    scale = (HEIGHT - TOP - BOTTOM) / ticks[-1]
    room = (WIDTH - LEFT - RIGHT) / max(1, len(days))
    width = min(room * _FILLED, _WIDEST)
    baseline = float(HEIGHT - BOTTOM)
    bars = []
    for place, (day, total) in enumerate(zip(days, totals, strict=True)):
        parts, below = [], 0
        for number, values in enumerate(series, start=1):
            if values[place]:
                below += values[place]
                parts.append(Part(baseline - below * scale, values[place] * scale, number))
        bars.append(Bar(day, LEFT + room * place + (room - width) / 2, width, tuple(parts), total))
    # From the last day backwards, so that today always has a label.
    every = -(-len(days) // _LABELS)
    labelled = sorted(range(len(days) - 1, -1, -every)) if days else []
    return Chart(
        tuple(bars),
        tuple(ValueTick(baseline - value * scale, value) for value in ticks),
        tuple(DayTick(LEFT + room * (place + 0.5), days[place]) for place in labelled),
        baseline,
    )


def round_values(most: int, *, about: int = 4) -> list[int]:
    """Round numbers from 0 to `most` or a little above, about so many steps of them; 0 and 1 where there is nothing."""
    if most <= 0:
        return [0, 1]
    rough = max(1, -(-most // about))
    magnitude = 10 ** (len(str(rough)) - 1)
    step = next(magnitude * each for each in _STEPS if magnitude * each >= rough)
    return list(range(0, most + step, step)) if most % step else list(range(0, most + 1, step))
