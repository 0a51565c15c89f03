"""From the protocol's words to the core's types."""

import hashlib
from collections import Counter
from collections.abc import Mapping

from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.account import Account, EarningsMessage, OfferPrice, PriceMessage
from lightphon_backend_gguf.protocol.hardware import Hardware
from lightphon_backend_gguf.protocol.hub_session import HubSession
from lightphon_backend_gguf.protocol.messages import Failed, Hello, OfferMessage
from lightphon_core import (
    BackendError,
    Capability,
    Earnings,
    Model,
    Node,
    NodeState,
    Offer,
    Overloaded,
    Price,
    PriceInForce,
    Principal,
    Refused,
    TimedOut,
    Unavailable,
)

_CAPABILITIES = frozenset(Capability)


def to_node(principal: Principal, hello: Hello) -> Node:
    """The node that speaks: the same token and name are the same node, whenever and from wherever it connects."""
    digest = hashlib.sha256(f"{principal.credential_id}\n{hello.name}".encode()).hexdigest()
    return Node(id=f"node-{digest[:20]}", name=hello.name, owner=principal.account_id)


def to_state(session: HubSession) -> NodeState:
    """What a node that said hello is doing."""
    if session.draining:
        return NodeState.DRAINING
    if session.offers:
        return NodeState.ONLINE
    return NodeState.PAUSED if session.paused else NodeState.STARTING


def to_offer(node: Node, message: OfferMessage) -> Offer:
    """The offer as the catalogue knows it. Its id starts with the node's, and a slash."""
    facts = message.model
    model = Model(
        id=facts.id,
        capabilities=frozenset(Capability(word) for word in facts.capabilities if word in _CAPABILITIES),
        context_length=facts.context_length,
        maker=facts.maker.lower() if facts.maker else None,
        params_b=facts.params_b,
        quantization=facts.quantization,
    )
    asked = message.price
    price = None
    if asked is not None:
        price = Price(asked.per_minute, asked.per_mtok_prompt, asked.per_mtok_completion, asked.per_request)
    return Offer(
        id=f"{node.id}/{message.id}",
        model=model,
        node=node,
        slots=message.slots,
        price=price,
        facts=_known(
            architecture=facts.architecture, engine=message.engine, file_bytes=facts.file_bytes, sha256=facts.sha256
        ),
    )


def machine_facts(hardware: Hardware | None) -> dict[str, str | int | float]:
    """What a node says of its machine, by name; GPUs of one name once, with their number, and their memory together."""
    if hardware is None:
        return {}
    counted = Counter(gpu.name for gpu in hardware.gpus)
    memories = [gpu.memory_bytes for gpu in hardware.gpus if gpu.memory_bytes is not None]
    return _known(
        cpu=hardware.cpu,
        cores=hardware.cores,
        memory_bytes=hardware.memory_bytes,
        gpu=", ".join(name if count == 1 else f"{count} x {name}" for name, count in counted.items()) or None,
        gpu_memory_bytes=sum(memories) if memories else None,
    )


def _known(**facts: str | float | None) -> dict[str, str | int | float]:
    return {name: value for name, value in facts.items() if value is not None}


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
