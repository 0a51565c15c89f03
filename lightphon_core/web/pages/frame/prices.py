"""Prices for people: in sats, by what they are charged for. Pure."""

from __future__ import annotations

from typing import Protocol

from lightphon_core.money import sats, sats_of_a_millionth

TOKENS = 1000
"""How many of them prices are shown for; a million is more than anybody has in mind."""


class Priced(Protocol):
    """A price, in msat, however it is kept."""

    @property
    def per_minute(self) -> int: ...
    @property
    def per_mtok_prompt(self) -> int: ...
    @property
    def per_mtok_completion(self) -> int: ...
    @property
    def per_request(self) -> int: ...


def in_words(price: Priced) -> list[str]:
    """Each part that is charged, as "0.25 sats per 1,000 tokens of prompt"; "free" where none is."""
    prompt, completion = (
        sats_of_a_millionth(each * TOKENS) for each in (price.per_mtok_prompt, price.per_mtok_completion)
    )
    if price.per_mtok_prompt == price.per_mtok_completion:
        parts = [(prompt, f"{TOKENS:,} tokens")]
    else:
        parts = [(prompt, f"{TOKENS:,} tokens of prompt"), (completion, f"{TOKENS:,} tokens of answer")]
    parts += [(sats(price.per_minute), "minute"), (sats(price.per_request), "request")]
    said = [f"{amount} {'sat' if amount == '1' else 'sats'} per {what}" for amount, what in parts if amount != "0"]
    return said or ["free"]


def price_in_words(price: Priced) -> str:
    """The same as one text."""
    return " + ".join(in_words(price))
