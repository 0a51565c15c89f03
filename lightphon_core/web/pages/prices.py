"""Prices in words. Pure."""

from __future__ import annotations

from typing import Protocol

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
