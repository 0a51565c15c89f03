"""The periods that budgets are for, and when they begin and end: days and months of UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US


class Period(StrEnum):
    """How long a budget has to last. TOTAL never ends."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


PERIODS = tuple(Period)
"""The shortest first."""


def day_of(at: int) -> int:
    """The day of a time, counted from 1970-01-01. `at`, as all times here: microseconds since 1970, UTC."""
    return at // DAY_US


def began(period: Period, at: int) -> int:
    """When the period began that `at` is in; 0 for one that always was."""
    match period:
        case Period.DAY:
            return at - at % DAY_US
        case Period.MONTH:
            return _month(_moment(at))
        case Period.TOTAL:
            return 0


def ends(period: Period, at: int) -> int | None:
    """When the next one begins; None for a period that never ends."""
    match period:
        case Period.DAY:
            return began(period, at) + DAY_US
        case Period.MONTH:
            return _month(_moment(at), months_later=1)
        case Period.TOTAL:
            return None


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at // SECOND_US, UTC)


def _month(moment: datetime, *, months_later: int = 0) -> int:
    years, month = divmod(moment.month - 1 + months_later, 12)
    first = datetime(moment.year + years, month + 1, 1, tzinfo=UTC)
    return int(first.timestamp()) * SECOND_US
