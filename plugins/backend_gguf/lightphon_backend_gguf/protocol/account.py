"""Prices, and what a hub says of a node's account."""

from attrs import field, frozen

from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.fields import an_id, is_word, many, rule, whole


@frozen
class PriceMessage:
    """What the owner asks, in millisatoshi: for a minute of inference, a million tokens of prompt and of completion,
    and for the request as such."""

    per_minute: int = field(default=0, validator=whole(0, limits.PRICE_MSAT))
    per_mtok_prompt: int = field(default=0, validator=whole(0, limits.PRICE_MSAT))
    per_mtok_completion: int = field(default=0, validator=whole(0, limits.PRICE_MSAT))
    per_request: int = field(default=0, validator=whole(0, limits.PRICE_MSAT))


@frozen
class EarningsMessage:
    """What the node's account has earned with all its nodes, in millisatoshi: since midnight UTC, and ever. `pending`
    of it may not be used yet."""

    today: int = field(validator=whole(-limits.EARNED_MSAT, limits.EARNED_MSAT))
    total: int = field(validator=whole(-limits.EARNED_MSAT, limits.EARNED_MSAT))
    pending: int = field(validator=whole(0, limits.EARNED_MSAT))


@frozen
class OfferPrice:
    """What an offer costs now. `set_by` is who said so: "operator", "account", "node" or "default"."""

    offer: str = field(validator=an_id)
    price: PriceMessage = field(validator=rule("a price", lambda v: isinstance(v, PriceMessage)))
    set_by: str = field(validator=rule("a word", is_word))


@frozen
class Account:
    """How the node's account stands, for its operator to see. Sent after hello, when the offers change, and about once
    a minute; a node need not understand it. Without `earnings` the hub does not know them."""

    earnings: EarningsMessage | None = field(
        default=None, validator=rule("earnings", lambda v: isinstance(v, EarningsMessage), optional=True)
    )
    prices: tuple[OfferPrice, ...] = field(
        default=(), validator=many(limits.OFFERS, lambda v: isinstance(v, OfferPrice), "prices")
    )
