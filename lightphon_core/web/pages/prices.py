"""Prices in words. Pure."""

from __future__ import annotations

from typing import Protocol

from lightphon_core.money import sats, sats_of_a_millionth
from lightphon_core.web.pages.rendering import shown_sats


class Priced(Protocol):
    """The parts of a price, in msat, as `Price` and the JSON API have them."""

    @property
    def per_minute(self) -> int: ...
    @property
    def per_mtok_prompt(self) -> int: ...
    @property
    def per_mtok_completion(self) -> int: ...
    @property
    def per_request(self) -> int: ...


def price_in_words(price: Priced) -> str:
    """Each part that is not nothing, in sats: "5 sats a minute + 1 sat a request"; "free" where all are."""
    parts = (
        (price.per_minute, "a minute"),
        (price.per_mtok_prompt, "for a million tokens read"),
        (price.per_mtok_completion, "for a million tokens written"),
        (price.per_request, "a request"),
    )
    said = [f"{shown_sats(amount)} {'sat' if amount == 1000 else 'sats'} {what}" for amount, what in parts if amount]
    return " + ".join(said) or "free"


def by_the_thousand(price: Priced) -> list[str]:
    """The same for those who ask, in parts, with tokens by the thousand: "0.25 sats per 1,000 tokens of prompt"."""
    prompt, completion = (
        sats_of_a_millionth(each * 1000) for each in (price.per_mtok_prompt, price.per_mtok_completion)
    )
    if price.per_mtok_prompt and price.per_mtok_prompt == price.per_mtok_completion:
        by_token = [f"{prompt} sats per 1,000 tokens"]
    else:
        by_token = [
            f"{amount} sats per 1,000 tokens of {what}"
            for what, amount in (("prompt", prompt), ("answer", completion))
            if amount != "0"
        ]
    by_time = [f"{sats(price.per_minute)} sats per minute"] if price.per_minute else []
    by_request = [f"{sats(price.per_request)} sats per request"] if price.per_request else []
    return [*by_token, *by_time, *by_request] or ["free"]
