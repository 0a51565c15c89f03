"""Prices for people: in sats, by what they are charged for. Pure."""

from __future__ import annotations

from typing import Protocol

from lightphon_core.money import sats, sats_of_a_millionth


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
