"""Which offers may serve a request: each filter a small pure function, in a table.

What an offer does not state (None) does not satisfy a filter on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from lightphon_core.types import Capability, Filters, Focus, Model, Needs, Node, Price

MODEL = "model"
ALLOWED = "allowed"
LOOP = "loop"
NOT_IN_AUTO = "not_in_auto"
CAPABILITIES = "capabilities"
CONTEXT = "context"
FREE = "free"
EXCLUDE = "exclude"
CHOICES = "choices"
MAX_PRICE = "max_price"
FAILING = "failing"

Filter = Callable[[Any, Model], bool]
"""(what the request asks for, the model as it is offered) -> whether it will do."""


def _is_one_of(word: str | None, wanted: frozenset[str]) -> bool:
    return word is not None and word.lower() in wanted


FILTERS: Mapping[str, Filter] = {
    "providers": lambda wanted, model: _is_one_of(model.maker, wanted),
    "models": lambda wanted, model: model.id in wanted,
    "owned_by": lambda wanted, model: _is_one_of(model.owner, wanted),
    "min_params_b": lambda wanted, model: model.params_b is not None and model.params_b >= wanted,
    "max_params_b": lambda wanted, model: model.params_b is not None and model.params_b <= wanted,
    "quantizations": lambda wanted, model: _is_one_of(model.quantization, wanted),
    "min_context": lambda wanted, model: model.context_length is not None and model.context_length >= wanted,
    EXCLUDE: lambda unwanted, model: model.id not in unwanted and not _is_one_of(model.maker, _lower(unwanted)),
}
"""Those that look at the model alone, by field of `Filters`, in the order in which they are looked at. `exclude` looks
at the node too (`spares`); `max_price` is the router's, since it depends on what was measured."""

FOR_WHOM: Sequence[str] = (ALLOWED, LOOP, NOT_IN_AUTO)
"""Those that look at who asks, and how, rather than at what for: what they leave out is not there for the request."""

CONDITIONS: Sequence[str] = (MODEL, *FOR_WHOM, CAPABILITIES, CONTEXT, FREE, *FILTERS, CHOICES, MAX_PRICE, FAILING)
"""All that can leave an offer out, in the order in which they are looked at."""


def _lower(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.lower() for word in words)


def spares(unwanted: frozenset[str], node: Node) -> bool:
    """Whether `exclude` names this node neither by id nor by name."""
    return not (node.id in unwanted or node.name in unwanted or node.name.lower() in unwanted)


def is_named(names: frozenset[str], backend: str, node: Node) -> bool:
    """Whether these names, in lower case, have this backend, or the node by id or by name."""
    return not names.isdisjoint((backend.lower(), node.id.lower(), node.name.lower()))


@frozen
class Kind:
    """All that demands can tell of an offer. `gateway` is its node's; `in_auto` is whether `auto` may choose it."""

    model: Model
    price: Price
    gateway: str | None
    in_auto: bool


@frozen
class Demand:
    """What a request asks of an offer's kind alone. Equal for most requests, so that it is decided once.

    `via` are the gateways on offer that it came through; `in_auto`: it asks for `auto`, and there are offers that this
    leaves out. `context` is the least context on offer that holds the prompt, 0 where any does.
    """

    model: str | None
    allowed: frozenset[str] | None
    via: frozenset[str]
    in_auto: bool
    capabilities: frozenset[Capability]
    context: int
    is_free: bool
    filters: Filters


Test = Callable[[Kind], bool]


def tests(demand: Demand) -> list[tuple[str, Test]]:
    """The conditions that this demand makes at all, by name, in the order of `CONDITIONS`."""
    made: list[tuple[str, Test]] = []
    if (name := demand.model) is not None:
        made.append((MODEL, lambda kind: kind.model.id == name))
    if (allowed := demand.allowed) is not None:
        made.append((ALLOWED, lambda kind: kind.model.id in allowed))
    if via := demand.via:
        made.append((LOOP, lambda kind: kind.gateway not in via))
    if demand.in_auto:
        made.append((NOT_IN_AUTO, lambda kind: kind.in_auto))
    if capabilities := demand.capabilities:
        made.append((CAPABILITIES, lambda kind: capabilities <= kind.model.capabilities))
    if context := demand.context:
        made.append((CONTEXT, lambda kind: _holds(kind.model, context)))
    if demand.is_free:
        made.append((FREE, lambda kind: kind.price.is_free))
    for field, will_do in FILTERS.items():
        if (wanted := getattr(demand.filters, field)) is not None:
            made.append((field, _bound(will_do, wanted)))
    return made


def capabilities_of(needs: Needs) -> frozenset[Capability]:
    """What a model must be able to do: for the request itself, and because it was asked for."""
    return needs.capabilities | (needs.filters.capabilities or frozenset())


def is_free(needs: Needs) -> bool:
    """Whether only what costs nothing will do: for `auto:free`."""
    return needs.model is None and needs.focus is Focus.FREE


def _holds(model: Model, context: int) -> bool:
    return model.context_length is None or model.context_length >= context


def _bound(will_do: Filter, wanted: object) -> Test:
    return lambda kind: will_do(wanted, kind.model)
