"""The filters as a form: what an address says that somebody chose, and what there is to choose from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec
from attrs import frozen

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.body import explained
from lightphon_core.openai.route import Route, RouteQuery, filters_of, route_of
from lightphon_core.routing.makers import MAKERS
from lightphon_core.types import Offer

LISTS: Final = ("providers", "capabilities", "owned_by", "exclude", "models", "quantizations")
ONES: Final = ("min_params_b", "max_params_b", "min_context", "max_price", "prefer_size", "sort")
OF_THE_REQUEST: Final = ("prompt_tokens", "max_tokens")
"""No filters: how long prompt and answer are expected to be."""


@frozen
class Form:
    """The form as it was filled in. `query` is what the router is asked, or `error` says what is wrong with it."""

    lists: Mapping[str, Sequence[str]]
    ones: Mapping[str, str]
    query: RouteQuery
    error: InvalidRequest | None = None

    @property
    def route(self) -> dict[str, object]:
        """The filters as a request has them, in the order of the form; none where they are wrong."""
        if self.error is not None:
            return {}
        written = route_of(filters_of(self.query)) or Route()
        named = {name: getattr(written, name) for name in (*LISTS, *ONES)}
        return {name: _plain(value) for name, value in named.items() if value is not None}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was filled in."""
        return not self.lists and not self.ones


def read_form(query: Iterable[tuple[str, str]]) -> Form:
    """The form that an address has: `query` are its parameters, of which those that are none of ours say nothing. A
    list is one parameter after the other, or one with commas."""
    lists: dict[str, list[str]] = {}
    ones: dict[str, str] = {}
    for name, value in query:
        if name in LISTS:
            words = (word.strip() for word in value.split(","))
            lists.setdefault(name, []).extend(word for word in words if word)
        elif name in (*ONES, *OF_THE_REQUEST) and value.strip():
            ones[name] = value.strip()
    lists = {name: [*dict.fromkeys(words)] for name, words in lists.items() if words}
    try:
        asked = msgspec.convert({**lists, **ones}, RouteQuery, strict=False)
        filters_of(asked)
    except msgspec.ValidationError as error:
        return Form(lists, ones, RouteQuery(), explained(str(error), kind=RouteQuery))
    except InvalidRequest as error:
        return Form(lists, ones, RouteQuery(), error)
    return Form(lists, ones, asked)


@frozen
class Choices:
    """What can be ticked: makers and owners of what is online (and `other_makers`, whose models might come), and nodes
    that are gateways, by name, to leave out."""

    makers: Sequence[str]
    other_makers: Sequence[str]
    owners: Sequence[str]
    gateways: Sequence[str]


def choices(offers: Sequence[Offer], form: Form) -> Choices:
    """Among what is on offer. What the form has ticked is always there."""
    ticked = form.lists
    makers = {each.model.maker.lower() for each in offers if each.model.maker} | set(ticked.get("providers", ()))
    stated = {each.model.owner for each in offers if each.model.owned_by}
    named = {each.lower() for each in stated}
    owners = stated | {each for each in ticked.get("owned_by", ()) if each.lower() not in named}
    return Choices(
        makers=sorted(makers),
        other_makers=sorted({maker for _, maker in MAKERS} - makers),
        owners=sorted(owners, key=str.lower),
        gateways=sorted({each.node.name for each in offers if each.node.gateway is not None}, key=str.lower),
    )


def _plain(value: object) -> object:
    """As JSON has it: numbers without a point where they need none, and prices exactly."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else f"{value:f}"
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return value
