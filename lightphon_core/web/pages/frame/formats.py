"""Numbers, amounts and times as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from lightphon_core.money import MSAT_PER_SAT, sats

NARROW_SPACE: Final = "\u202f"
MINUS: Final = "\u2212"
SHOWN_WHOLE: Final = 32


def shown_number(value: float, places: int = 0) -> str:
    """A number for people: groups of three digits, by narrow spaces."""
    return f"{value:,.{places}f}".replace(",", NARROW_SPACE)


def shown_sats(amount: int) -> str:
    """Msat as sats for people: "1 234.5". What is below a sat keeps its digits, so nothing is rounded away."""
    whole, _, rest = sats(amount).partition(".")
    grouped = f"{int(whole):,}".replace(",", NARROW_SPACE)
    if amount < 0 and not grouped.startswith("-"):
        grouped = f"-{grouped}"
    return f"{grouped}.{rest}" if rest else grouped


def in_sats(amount: int) -> str:
    """The same with its unit: "1 sat", "1 234.5 sats"."""
    return f"{shown_sats(amount)} {'sat' if amount == MSAT_PER_SAT else 'sats'}"


def at_a_glance(amount: int) -> str:
    """Msat as sats where there is little room: whole ones, rounded down, from ten on."""
    return shown_sats(amount - amount % 1_000 if amount >= 10_000 else amount)


def shown_change(amount: int) -> str:
    """What came or went, msat as sats, with its sign: "+1 234.5"."""
    if amount == 0:
        return "0"
    return f"{'+' if amount > 0 else MINUS}{shown_sats(abs(amount))}"


def shortened(text: str) -> str:
    """The two ends of a long text, such as an invoice."""
    return text if len(text) <= SHOWN_WHOLE else f"{text[:14]}…{text[-8:]}"


def shown_day(seconds: float) -> str:
    """A time as its day, UTC: "2026-11-23"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def shown_moment(seconds: float) -> str:
    """A time, UTC, to the minute: "2026-11-23 05:30". Scripts turn it into the reader's own time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
