"""When a node takes jobs: windows of the week in local time, and whoever paused it by hand. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import frozen

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN = 24 * 60
WEEK_MIN = 7 * DAY_MIN

_WINDOW = re.compile(r"(?:(?P<days>[a-z,-]+) +)?(?P<start>[0-9:]+) *- *(?P<end>[0-9:]+)")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")


@frozen
class Window:
    """A time of the day on some days of the week, 0 being Monday. `start` is minutes after midnight, `length` minutes.
    It belongs to the day on which it begins, even where it ends on the next one."""

    days: frozenset[int]
    start: int
    length: int

    def holds(self, minute: int) -> bool:
        """Whether it is open at this minute of the week."""
        return any((minute - day * DAY_MIN - self.start) % WEEK_MIN < self.length for day in self.days)

    def edges(self) -> set[int]:
        """The minutes of the week at which it opens and closes."""
        begins = {day * DAY_MIN + self.start for day in self.days}
        return begins | {(begin + self.length) % WEEK_MIN for begin in begins}


@frozen
class Schedule:
    """Open while one of its windows is."""

    windows: tuple[Window, ...]

    def is_open(self, local: datetime) -> bool:
        """Whether jobs are taken at this local time."""
        return self._open(_minute(local))

    def next_change(self, local: datetime) -> datetime | None:
        """When that changes next, to the minute, if no clock is put forward or back meanwhile; None: never."""
        now = _minute(local)
        edges = {edge for window in self.windows for edge in window.edges()}
        for wait in sorted((edge - now) % WEEK_MIN or WEEK_MIN for edge in edges):
            if self._open((now + wait) % WEEK_MIN) != self._open(now):
                return local.replace(second=0, microsecond=0) + timedelta(minutes=wait)
        return None

    def _open(self, minute: int) -> bool:
        return any(window.holds(minute) for window in self.windows)


def parse_schedule(texts: Sequence[str]) -> Schedule | None:
    """Windows such as "22:00-08:00", "mon-fri 18:00-23:30" or "sat,sun 00:00-24:00"; None for no text at all.

    Raises ValueError with a line for the operator.
    """
    return Schedule(tuple(_window(text) for text in texts)) if texts else None


def _window(text: str) -> Window:
    found = _WINDOW.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f'{text!r} is not like "22:00-08:00" or "mon-fri 22:00-08:00"')
    days = frozenset(range(7)) if found["days"] is None else _days(found["days"])
    start, end = _time(found["start"]), _time(found["end"])
    if start in (DAY_MIN, end):
        raise ValueError(f"{text!r} is no stretch of time; the whole day is 00:00-24:00")
    return Window(days, start, (end - start) % DAY_MIN or DAY_MIN)


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if first not in DAYS or last not in DAYS:
            raise ValueError(f"{part!r} is not a day; the days are {', '.join(DAYS)}")
        begin = DAYS.index(first)
        days |= {(begin + step) % 7 for step in range((DAYS.index(last) - begin) % 7 + 1)}
    return frozenset(days)


def _time(text: str) -> int:
    found = _TIME.fullmatch(text)
    minutes = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else DAY_MIN + 1
    if minutes > DAY_MIN:
        raise ValueError(f"{text!r} is no time of the day, from 00:00 to 24:00")
    return minutes


def _minute(local: datetime) -> int:
    return local.weekday() * DAY_MIN + local.hour * 60 + local.minute
