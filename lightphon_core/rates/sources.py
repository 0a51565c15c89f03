"""Who says in public what a bitcoin costs in euros: where, and how the JSON of each is read. Pure.

The shapes are those that programs in public read; none of the sources has been asked from here. None needs a key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NoReturn

from attrs import frozen

LEAST, MOST = Decimal(1), Decimal(10**9)
"""Euros for a bitcoin; beyond that is a fault of the source."""
OLDEST_S = 600.0
"""How old a price may be, where its source says from when it is."""

_PLAIN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,18})?", re.ASCII)


class Unusable(ValueError):
    """An answer that is no price. The message says why, without what the source wrote."""


@frozen
class Source:
    """`price` finds the price in the answer, and `at` from when it is, in seconds since 1970, where the answer says so.
    Both may raise `LookupError` and `TypeError`."""

    url: str
    price: Callable[[Any], object]
    at: Callable[[Any], object] | None = None


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "binance": Source("https://api.binance.com/api/v3/ticker/price?symbol=BTCEUR", lambda said: said["price"]),
        # BID, BID_SIZE, ASK, ASK_SIZE, DAILY_CHANGE, DAILY_CHANGE_RELATIVE, LAST_PRICE, VOLUME, HIGH, LOW
        "bitfinex": Source("https://api-pub.bitfinex.com/v2/ticker/tBTCEUR", lambda said: said[6]),
        "bitstamp": Source(
            "https://www.bitstamp.net/api/v2/ticker/btceur/", lambda said: said["last"], lambda said: said["timestamp"]
        ),
        "blockchain": Source("https://blockchain.info/ticker", lambda said: said["EUR"]["last"]),
        "coinbase": Source("https://api.coinbase.com/v2/prices/BTC-EUR/spot", lambda said: said["data"]["amount"]),
        "coingecko": Source(
            "https://api.coingecko.com/api/v3/simple/price?ids=bitcoin&vs_currencies=eur&include_last_updated_at=true",
            lambda said: said["bitcoin"]["eur"],
            lambda said: said["bitcoin"]["last_updated_at"],
        ),
        # One pair was asked for, under one of its names, and one is answered, under another. `c`: the last trade.
        "kraken": Source(
            "https://api.kraken.com/0/public/Ticker?pair=XBTEUR",
            lambda said: _only(said["result"])["c"][0],
        ),
        "mempool": Source("https://mempool.space/api/v1/prices", lambda said: said["EUR"]),
    }
)


def read_price(source: Source, body: bytes, *, now: float) -> Decimal:
    """The price in an answer of `source`, as it was written: no binary fraction comes between. Raises `Unusable`."""
    try:
        said = json.loads(body, parse_float=Decimal, parse_constant=_refuse)
        price = _number(source.price(said))
        at = None if source.at is None else _number(source.at(said))
    except Unusable:
        raise
    except (LookupError, TypeError, AttributeError):
        raise Unusable("its answer has another shape") from None
    except (ValueError, ArithmeticError, RecursionError):
        raise Unusable("its answer is no JSON") from None
    if not LEAST <= price <= MOST:
        raise Unusable("its price is absurd")
    if at is not None and not now - OLDEST_S <= at <= now + OLDEST_S:
        raise Unusable("its price is old")
    return price


def _number(value: object) -> Decimal:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return Decimal(value)
    if type(value) is int or isinstance(value, Decimal):
        return Decimal(value)
    raise Unusable("its answer has no number where the price should be")


def _only(members: Mapping[str, Any]) -> Any:
    (member,) = members.values()
    return member


def _refuse(_: str) -> NoReturn:
    raise Unusable("its price is no number")
