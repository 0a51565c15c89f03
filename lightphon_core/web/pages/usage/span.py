"""Which days of usage a page is about. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from attrs import frozen

LENGTHS: Final = (7, 30, 90)
"""Days, up to today, that are chosen with a click."""
USUAL: Final = 30
LONGEST: Final = 366


@frozen
class Span:
    """From the first to the last day, UTC, both included. `length` is one of `LENGTHS` where it was chosen so. `fault`
    says what was wrong with what was asked for; the usual days are shown then."""

    first: date
    last: date
    length: int | None = None
    fault: str = ""

    @property
    def days(self) -> list[date]:
        """All of them, the first one first."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


def span_of(length: str | None, first: str | None, last: str | None, *, today: date) -> Span:
    """What was asked for, as a page's query has it: so many days, or from one day to another."""
    if not first and not last:
        chosen = USUAL if length is None else next((each for each in LENGTHS if str(each) == length), None)
        return _latest(USUAL, today, "There is no such range.") if chosen is None else _latest(chosen, today)
    try:
        end = date.fromisoformat(last) if last else today
        begin = date.fromisoformat(first) if first else end - timedelta(days=USUAL - 1)
    except (ValueError, OverflowError):
        return _latest(USUAL, today, "A day is written as 2026-01-31.")
    if begin > end:
        return _latest(USUAL, today, "The first day is after the last.")
    if (end - begin).days >= LONGEST:
        return _latest(USUAL, today, f"These are more than {LONGEST} days. Ask for fewer.")
    return Span(begin, end)


def _latest(length: int, today: date, fault: str = "") -> Span:
    return Span(today - timedelta(days=length - 1), today, length, fault)
