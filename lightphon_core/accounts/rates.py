"""The rule of what may happen only so often a minute: the generic cell rate algorithm (ATM Forum TM 4.0, 4.4.2).

All that is kept of a rate is one time, `until`: when everything that was asked for is paid back, at an even rate. So a
minute's worth may come at once, and then each next as its share of a minute has passed. Times are whole microseconds of
one clock. Shares are rounded down, so a rate may be passed by one part in 60,000,000 of itself for each time it is
asked.
"""

from __future__ import annotations

import hashlib

from attrs import frozen

from lightphon_core.types import Standing

MINUTE_US = 60_000_000


@frozen
class Rate:
    """`per_minute` of `unit` ("requests") for `whose`, in words that people read ("this key").

    `name` tells who that is from everybody else ("key:cred_1").
    """

    name: str
    unit: str
    per_minute: int
    whose: str

    def __str__(self) -> str:
        return f"{counted(self.per_minute, self.unit)} a minute for {self.whose}"

    @property
    def key(self) -> str:
        """As it is kept: what people type into the field for their name is at times their password.

        A rate that is changed begins anew: what was asked for at the old one is no time at the new one.
        """
        return hashed(f"{self.per_minute} {self.unit} of {self.name}")


@frozen
class Draw:
    """`amount` that somebody asks of a rate."""

    rate: Rate
    amount: int = 1

    @property
    def share(self) -> int:
        """The microseconds that pay it back."""
        return self.amount * MINUTE_US // self.rate.per_minute


def wait(share: int, until: int, now: int) -> int:
    """The microseconds until `share` may be had; 0 if at once.

    What is larger than a minute's worth may be had when nothing else is owed.
    """
    return max(0, until - now + min(share, MINUTE_US) - MINUTE_US)


def drawn(share: int, until: int, now: int) -> int:
    """`until` after `share` was had, whether there was room for it or not."""
    return max(until, now) + share


def given_back(share: int, until: int, now: int, *, since: int) -> int:
    """`until` after `share`, which was had at `since`, turned out not to be needed.

    The time that passed has paid for other things in its place, so that much is not given back twice.
    """
    return max(until - max(0, share - max(0, now - since)), now)


def standing(rate: Rate, until: int, now: int) -> Standing:
    """How much of a rate is left."""
    owed = max(0, until - now)
    return Standing(
        unit=rate.unit,
        limit=rate.per_minute,
        remaining=max(0, (MINUTE_US - owed) * rate.per_minute // MINUTE_US),
        reset_s=owed / 1_000_000,
    )


def counted(number: int, unit: str) -> str:
    """A number of something, as people say it: "1 request", "2 requests"."""
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"


def hashed(what: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()
