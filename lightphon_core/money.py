"""Integer millisatoshi. No float ever touches money.

A thousand millisatoshi (msat) are one satoshi (sat), a hundred million sats one bitcoin.
"""

from decimal import Decimal, InvalidOperation

MSAT_PER_SAT = 1_000
MAX_MSAT = 10**17
"""The largest amount of one posting: a million bitcoin. Ninety of them still fit a signed 64-bit integer."""


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
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise MoneyError(f"{text!r} is no amount of sats. Write it as 12 or 0.5.") from None
    if not amount.is_finite() or amount < 0 or amount * MSAT_PER_SAT > MAX_MSAT:
        raise MoneyError(f"{text!r} is no amount of sats that can be: it is negative or too large.")
    scaled = amount * MSAT_PER_SAT
    if scaled != scaled.to_integral_value():
        raise MoneyError(f"{text!r} is finer than a thousandth of a sat.")
    return int(scaled)


def sats(amount: int) -> str:
    """Millisatoshi as a decimal string of sats: 1500 is "1.5", -1 is "-0.001". Never rounded."""
    whole, rest = divmod(abs(amount), MSAT_PER_SAT)
    text = f"{whole}.{rest:03d}".rstrip("0").rstrip(".")
    return f"-{text}" if amount < 0 else text
