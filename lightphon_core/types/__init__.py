"""The types every layer speaks: frozen, serialisable, free of live objects and of I/O."""

from lightphon_core.types.offers import (
    GATEWAY_WORD,
    Capability,
    ConnectedNode,
    Earnings,
    Facts,
    ListedModel,
    Load,
    Model,
    Node,
    NodeState,
    Offer,
    OfferKey,
    is_gateway,
)
from lightphon_core.types.people import Credentials, Principal, RateLimits, Scope, Standing
from lightphon_core.types.prices import Price, PriceInForce, PriceSource
from lightphon_core.types.requests import Filters, Focus, Job, Needs, Size, Sort, Stats, Usage

__all__ = [
    "GATEWAY_WORD",
    "Capability",
    "ConnectedNode",
    "Credentials",
    "Earnings",
    "Facts",
    "Filters",
    "Focus",
    "Job",
    "ListedModel",
    "Load",
    "Model",
    "Needs",
    "Node",
    "NodeState",
    "Offer",
    "OfferKey",
    "Price",
    "PriceInForce",
    "PriceSource",
    "Principal",
    "RateLimits",
    "Scope",
    "Size",
    "Sort",
    "Standing",
    "Stats",
    "Usage",
    "is_gateway",
]
