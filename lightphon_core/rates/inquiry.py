"""Asks the sources, all at once. The only module that knows how HTTP is spoken."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from decimal import Decimal

import httpx
from attrs import frozen

from lightphon_core.host import Clock
from lightphon_core.rates.sources import Source, Unusable, read_price

TIMEOUT_S = 5.0
"""For one source, from the look-up of its name to the last byte."""
MAX_BYTES = 65_536
_HEADERS = {"user-agent": "lightphon", "accept": "application/json", "accept-encoding": "identity"}


@frozen
class Answers:
    """`prices` by source, and of the others why there is none."""

    prices: Mapping[str, Decimal]
    failures: Mapping[str, str]


class Inquiry:
    """Of these sources. A request carries no cookie and goes through no proxy; no redirect is followed, and no answer
    is unpacked or read beyond `MAX_BYTES`."""

    def __init__(self, sources: Mapping[str, Source], clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self._sources = sources
        self._clock = clock
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None

    async def ask(self) -> Answers:
        """What each of them says now. Raises nothing."""
        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        prices: dict[str, Decimal] = {}
        failures: dict[str, str] = {}

        async def ask_one(client: httpx.AsyncClient, name: str, source: Source) -> None:
            try:
                async with asyncio.timeout(self._timeout_s):
                    body = await _body(client, source.url)
                prices[name] = read_price(source, body, now=self._clock.now())
            except Unusable as error:
                failures[name] = str(error)
            except TimeoutError:
                failures[name] = "it does not answer in time"
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                failures[name] = f"it cannot be asked ({type(error).__name__})"

        # A new client each time: one that was kept would send the cookies of the last answers.
        async with httpx.AsyncClient(
            headers=_HEADERS, verify=self._tls, trust_env=False, follow_redirects=False, timeout=2 * self._timeout_s
        ) as client:
            await asyncio.gather(*(ask_one(client, name, source) for name, source in self._sources.items()))
        return Answers(prices, failures)


async def _body(client: httpx.AsyncClient, url: str) -> bytes:
    async with client.stream("GET", url) as answer:
        if answer.status_code != 200:
            raise Unusable(f"it answers with status {answer.status_code}")
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > MAX_BYTES:
                raise Unusable("its answer is too long")
        return bytes(body)
