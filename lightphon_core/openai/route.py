"""The filters of a request as JSON: the `route` object, the body of POST /api/models/route, and a key's default."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from lightphon_core.errors import InvalidRequest
from lightphon_core.money import MSAT_PER_SAT, MoneyError, parse_sats, sats
from lightphon_core.openai.body import object_fields, typed
from lightphon_core.types import Capability, Filters, Size, Sort

MAX_WORDS: Final = 64
"""The most that a list may have."""
MAX_WORD: Final = 200
"""Characters in one of them."""
MAX_CANDIDATES: Final = 100
MAX_SESSION: Final = 512
"""Characters in the name of a session."""
MAX_PARAMS_B: Final = 100_000
MAX_PRICE_SATS: Final = 1_000_000_000

_FINEST = -30  # decimal places, zeros among them, beyond which nobody writes an amount

Name = Annotated[str, Meta(min_length=1, max_length=256)]
"""Of a model."""
SessionName = Annotated[str, Meta(max_length=MAX_SESSION)]
Word = Annotated[str, Meta(min_length=1, max_length=MAX_WORD)]
Words = Word | Annotated[list[Word], Meta(min_length=1, max_length=MAX_WORDS)]
Params = Annotated[float, Meta(gt=0, le=MAX_PARAMS_B)]

Choice = TypeVar("Choice", bound=StrEnum)


class Route(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What whoever serves must have; what is left out, or null, is not asked for. One word does for a list of one, and
    all but ids may be in any case.

    `providers` are makers of models (qwen, meta). `exclude` may name models, makers and nodes. `max_price` is in sats,
    for the whole answer: a number or a decimal string with up to 3 decimals; 0 is free. `prefer_size` is small,
    balanced or large; `sort` is best, price, throughput or latency. `limit` is how many may be tried.
    """

    providers: Words | None = None
    models: Words | None = None
    owned_by: Words | None = None
    exclude: Words | None = None
    capabilities: Words | None = None
    quantizations: Words | None = None
    min_params_b: Params | None = None
    max_params_b: Params | None = None
    min_context: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    max_price: Decimal | None = None
    prefer_size: Word | None = None
    sort: Word | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_CANDIDATES)] | None = None


class RouteQuery(Route, kw_only=True):
    """Filters, and the request that they are for. `model` is an id, `auto`, or `auto:` and fast, cheap, code, reasoning
    or free. `prompt_tokens` and `max_tokens` are how long prompt and answer are expected to be."""

    model: Name | None = None
    prompt_tokens: Annotated[int, Meta(ge=0, le=10**9)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    session_id: SessionName | None = None


_decoder = msgspec.json.Decoder(Route)


def parse_route(raw: bytes) -> Filters:
    """The filters of a `route` object on its own, as people type it.

    Raises:
        InvalidRequest: It is none; `param` names the filter, as in "route.sort".
    """
    object_fields(raw)
    return filters_of(typed(raw, _decoder, {}, param="route"), "route")


def filters_of(route: Route, param: str = "") -> Filters:
    """What it asks for. `param` is its path in the request; it begins the names in errors.

    Raises:
        InvalidRequest: A word is none of those that there are, a price is none, or the sizes leave nothing.
    """
    at = f"{param}." if param else ""
    low, high = route.min_params_b, route.max_params_b
    if low is not None and high is not None and low > high:
        raise _wrong(f"{at}min_params_b", f"It must not be above '{at}max_params_b'.")
    capabilities = None
    if route.capabilities is not None:
        each = [_one_of(Capability, word, f"{at}capabilities") for word in _listed(route.capabilities)]
        capabilities = frozenset(each)
    return Filters(
        providers=_words(route.providers),
        models=_ids(route.models),
        owned_by=_words(route.owned_by),
        exclude=_ids(route.exclude),
        capabilities=capabilities,
        quantizations=_words(route.quantizations),
        min_params_b=low,
        max_params_b=high,
        min_context=route.min_context,
        max_price_msat=None if route.max_price is None else _msat(route.max_price, f"{at}max_price"),
        prefer_size=None if route.prefer_size is None else _one_of(Size, route.prefer_size, f"{at}prefer_size"),
        sort=None if route.sort is None else _one_of(Sort, route.sort, f"{at}sort"),
        limit=route.limit,
    )


def route_of(filters: Filters) -> Route | None:
    """The object that asks for these; None where they ask for nothing."""
    if filters == Filters():
        return None
    price = filters.max_price_msat
    return Route(
        providers=_sorted(filters.providers),
        models=_sorted(filters.models),
        owned_by=_sorted(filters.owned_by),
        exclude=_sorted(filters.exclude),
        capabilities=_sorted(filters.capabilities),
        quantizations=_sorted(filters.quantizations),
        min_params_b=filters.min_params_b,
        max_params_b=filters.max_params_b,
        min_context=filters.min_context,
        max_price=None if price is None else Decimal(sats(price)),
        prefer_size=filters.prefer_size and filters.prefer_size.value,
        sort=filters.sort and filters.sort.value,
        limit=filters.limit,
    )


def _listed(words: str | list[str]) -> list[str]:
    return [words] if isinstance(words, str) else words


def _words(words: str | list[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(word.lower() for word in _listed(words))


def _ids(words: str | list[str] | None) -> frozenset[str] | None:
    return None if words is None else frozenset(_listed(words))


def _sorted(words: Iterable[str] | None) -> list[str] | None:
    return None if words is None else sorted(map(str, words))


def _one_of(kind: type[Choice], word: str, param: str) -> Choice:
    try:
        return kind(word.lower())
    except ValueError:
        raise _wrong(param, f"It must be one of: {', '.join(kind)}.") from None


def _msat(price: Decimal, param: str) -> int:
    """Exactly. A price as long as a book is refused before anything is done with its digits."""
    try:
        exponent = price.as_tuple().exponent
        if isinstance(exponent, int) and exponent >= _FINEST and 0 <= price <= MAX_PRICE_SATS:
            return parse_sats(f"{price:f}")
    except MoneyError:
        pass
    message = f"It is in sats, from 0 to {MAX_PRICE_SATS}, and no finer than {sats(1)} (1/{MSAT_PER_SAT})."
    raise _wrong(param, message)


def _wrong(param: str, says: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid value for '{param}'. {says}", param=param)
