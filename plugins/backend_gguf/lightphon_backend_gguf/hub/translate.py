"""From the protocol's words to the core's types."""

import hashlib
from collections.abc import Mapping

from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.messages import (
    Account,
    EarningsMessage,
    Failed,
    Hello,
    OfferMessage,
    OfferPrice,
    PriceMessage,
)
from lightphon_core import (
    BackendError,
    Capability,
    Earnings,
    Model,
    Node,
    Offer,
    Overloaded,
    Price,
    PriceInForce,
    Principal,
    Refused,
    TimedOut,
    Unavailable,
)

_KNOWN = frozenset(Capability)


def to_node(principal: Principal, hello: Hello) -> Node:
    """The node that speaks: the same token and name are the same node, whenever and from wherever it connects."""
    digest = hashlib.sha256(f"{principal.credential_id}\n{hello.name}".encode()).hexdigest()
    return Node(id=f"node-{digest[:20]}", name=hello.name, owner=principal.account_id)


def to_offer(node: Node, message: OfferMessage) -> Offer:
    """The offer as the catalogue knows it. Its id starts with the node's, and a slash."""
    facts = message.model
    model = Model(
        id=facts.id,
        capabilities=frozenset(Capability(word) for word in facts.capabilities if word in _KNOWN),
        context_length=facts.context_length,
        maker=facts.maker.lower() if facts.maker else None,
        params_b=facts.params_b,
        quantization=facts.quantization,
    )
    asked = message.price
    price = None
    if asked is not None:
        price = Price(asked.per_minute, asked.per_mtok_prompt, asked.per_mtok_completion, asked.per_request)
    return Offer(id=f"{node.id}/{message.id}", model=model, node=node, slots=message.slots, price=price)


def to_account(earnings: Earnings | None, prices: Mapping[str, PriceInForce]) -> Account:
    """What a node is told of its account: its earnings, where they are known, and the prices of its offers by the ids
    that the node knows."""
    most = limits.EARNED_MSAT
    told = None
    if earnings is not None:
        told = EarningsMessage(
            today=max(-most, min(earnings.today, most)),
            total=max(-most, min(earnings.total, most)),
            pending=max(0, min(earnings.pending, most)),
        )
    in_force = tuple(
        OfferPrice(offer=offer, price=_to_message(each.price), set_by=each.source.value)
        for offer, each in prices.items()
    )
    return Account(earnings=told, prices=in_force)


def _to_message(price: Price) -> PriceMessage:
    most = limits.PRICE_MSAT
    return PriceMessage(
        per_minute=min(price.per_minute, most),
        per_mtok_prompt=min(price.per_mtok_prompt, most),
        per_mtok_completion=min(price.per_mtok_completion, most),
        per_request=min(price.per_request, most),
    )


def to_error(failed: Failed) -> BackendError:
    """The error that a job's failure is to the core."""
    match failed.kind:
        case "refused":
            return Refused(failed.message, param=failed.param, code=failed.code)
        case "overloaded":
            return Overloaded(failed.message, retry_after=failed.retry_after)
        case "timed_out":
            return TimedOut(failed.message)
        case "unavailable":
            return Unavailable(failed.message)
