"""What an answer costs, and who gets how much of it. Plain integer arithmetic."""

from __future__ import annotations

from lightphon_core.money import BASIS_POINTS, MAX_MSAT
from lightphon_core.settings import PricingSettings
from lightphon_core.types import Offer, Price, PriceInForce, PriceSource

_MS_PER_MINUTE = 60_000
_TOKENS = 1_000_000
_SCALE = _MS_PER_MINUTE * _TOKENS
"""Common denominator of msat per minute and msat per million tokens."""


def effective_price(pricing: PricingSettings, offer: Offer, agreed: Price | None) -> PriceInForce:
    """What an offer costs here: the operator's price for its model, else `agreed`, the one that its owner's account set
    for it, else what the node asks, else the default."""
    override = pricing.models.get(offer.model.id)
    if override is not None:
        return PriceInForce(override.price, PriceSource.OPERATOR)
    if agreed is not None:
        return PriceInForce(agreed, PriceSource.ACCOUNT)
    if offer.price is not None:
        return PriceInForce(offer.price, PriceSource.NODE)
    return PriceInForce(pricing.price, PriceSource.DEFAULT)


def cost(price: Price, *, prompt_tokens: int, completion_tokens: int, ms: int) -> int:
    """The price of an answer in msat: one rounding, up, over the total; at most `MAX_MSAT`."""
    return min(price.per_request + -(-_scaled(price, prompt_tokens, completion_tokens, ms) // _SCALE), MAX_MSAT)


def house_share(amount: int, basis_points: int) -> int:
    """The house's part of a charge, rounded down; the node's owner gets the rest."""
    return amount * basis_points // BASIS_POINTS


def affordable_tokens(price: Price, funds: int, *, prompt_tokens: int, ms: int = 0) -> int | None:
    """How many completion tokens `funds` pay for besides the rest of the answer; None for any number.

    Negative where not even the rest is covered.
    """
    left = (funds - price.per_request) * _SCALE - _scaled(price, prompt_tokens, 0, ms)
    if left < 0:
        return -1
    if not price.per_mtok_completion:
        return None
    return left // (price.per_mtok_completion * _MS_PER_MINUTE)


def _scaled(price: Price, prompt_tokens: int, completion_tokens: int, ms: int) -> int:
    tokens = prompt_tokens * price.per_mtok_prompt + completion_tokens * price.per_mtok_completion
    return tokens * _MS_PER_MINUTE + ms * price.per_minute * _TOKENS
