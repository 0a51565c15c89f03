"""Whose price holds for an offer, and who gets how much of a charge. What an answer costs is `money.cost`."""

from __future__ import annotations

from lightphon_core.money import BASIS_POINTS
from lightphon_core.settings import PricingSettings
from lightphon_core.types import Offer, Price, PriceInForce, PriceSource


def effective_price(
    pricing: PricingSettings, offer: Offer, agreed: Price | None, asked: Price | None = None
) -> PriceInForce:
    """What an offer costs here: the operator's price for its model, in the settings or, `asked`, of an administrator,
    else `agreed`, the one that its owner's account set for it, else what the node asks, else the default."""
    override = pricing.models.get(offer.model.id)
    if override is not None:
        return PriceInForce(override.price, PriceSource.OPERATOR)
    if asked is not None:
        return PriceInForce(asked, PriceSource.OPERATOR)
    if agreed is not None:
        return PriceInForce(agreed, PriceSource.ACCOUNT)
    if offer.price is not None:
        return PriceInForce(offer.price, PriceSource.NODE)
    return PriceInForce(pricing.price, PriceSource.DEFAULT)


def house_share(amount: int, basis_points: int) -> int:
    """The house's part of a charge, rounded down; the node's owner gets the rest."""
    return amount * basis_points // BASIS_POINTS
