"""Integer millisatoshi. No float ever touches money.

A thousand millisatoshi (msat) are one satoshi (sat), a hundred million sats one bitcoin.
"""

from __future__ import annotations

import re
from typing import NewType

MSAT_PER_SAT = 1_000
MAX_MSAT = 10**17
"""The largest amount of one posting: a million bitcoin. Ninety of them still fit a signed 64-bit integer."""
MAX_PRICE_MSAT = 10**12
"""The most that one part of a price may be: ten bitcoin."""

BASIS_POINTS = 10_000
"""What a share of everything is."""

Amount = NewType("Amount", int)
"""Millisatoshi that an operator sets, in sats: 12 or "0.5"."""

Cents = NewType("Cents", int)
"""Hundredths of a euro that an operator sets, in euros: 12 or "12.50"."""
MAX_CENTS = 10**11
"""The most that one price may be: a billion euros."""

_SATS = re.compile(r"(?P<whole>[0-9]{1,18})(\.(?P<rest>[0-9]{1,3})0*)?", re.ASCII)


_EUROS = re.compile(r"(?P<whole>[0-9]{1,12})(\.(?P<rest>[0-9]{1,2}))?", re.ASCII)


class MoneyError(ValueError):
    """What is not an amount of money. The message says why."""


def msat(value: object) -> int:
    """`value` if it is an amount: a plain int, not negative, at most `MAX_MSAT`. Raises `MoneyError`."""
    if type(value) is not int:
        raise MoneyError(f"An amount is a whole number of millisatoshi, not a {type(value).__name__}.")
    if not 0 <= value <= MAX_MSAT:
        raise MoneyError(f"An amount is from 0 to {MAX_MSAT} millisatoshi.")
    return value


def parse_sats(text: str) -> int:
    """A person's sats, such as "12", "0.5" or "0.001", as millisatoshi. Raises `MoneyError`."""
    found = _SATS.fullmatch(text)
    if found is None:
        raise MoneyError("An amount of sats is written as 12 or 0.5, and no finer than 0.001.")
    return msat(int(found["whole"]) * MSAT_PER_SAT + int((found["rest"] or "").ljust(3, "0")))


def parse_euros(text: str) -> int:
    """A person's euros, such as "12" or "12.50", as cents. Raises `MoneyError`."""
    found = _EUROS.fullmatch(text)
    if found is None:
        raise MoneyError("An amount of euros is written as 12 or 12.50, and no finer than 0.01.")
    cents = int(found["whole"]) * 100 + int((found["rest"] or "").ljust(2, "0"))
    if cents > MAX_CENTS:
        raise MoneyError(f"An amount of euros is at most {euros(MAX_CENTS)}.")
    return cents


def euros(cents: int) -> str:
    """Cents as a decimal string of euros: 1250 is "12.50"."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole}.{rest:02d}"


def sats(amount: int) -> str:
    """Millisatoshi as a decimal string of sats: 1500 is "1.5", -1 is "-0.001". Never rounded."""
    return _decimal(amount, 3)


def with_unit(amount: int) -> str:
    """Millisatoshi as sats in a sentence: "1 sat", "1.5 sats"."""
    return f"{sats(amount)} {'sat' if amount == MSAT_PER_SAT else 'sats'}"


def sats_of_a_millionth(amount: int) -> str:
    """A millionth of so many millisatoshi, likewise: of 5000, the price of a million tokens, "0.000005" is that of
    one."""
    return _decimal(amount, 9)


def _decimal(amount: int, places: int) -> str:
    whole, rest = divmod(abs(amount), 10**places)
    text = f"{whole}.{rest:0{places}d}".rstrip("0").rstrip(".")
    return f"-{text}" if amount < 0 else text
