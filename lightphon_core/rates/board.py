"""The rate as the gateway knows it: asked for each minute, and good for ten."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import frozen

from lightphon_core.errors import RateUnavailable, SettingsError
from lightphon_core.host import Clock
from lightphon_core.rates.agreement import agree
from lightphon_core.rates.inquiry import Answers, Inquiry
from lightphon_core.rates.quotes import Quote, quote_at, with_spread, worth
from lightphon_core.rates.sources import SOURCES, Source
from lightphon_core.settings import RateSettings
from lightphon_core.types import Fiat

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

REFRESH_S = 60.0
OLDEST_S = 600.0
"""How old the last agreement may be: then nothing is quoted any more."""
RETRY_S = 60.0


@frozen
class _Known:
    """When a rate was agreed on, by both clocks: one may be set back, the other stands still while a machine sleeps."""

    rate: Decimal
    monotonic: float
    now: float


class RateBoard:
    """One per application, on one event loop. `wanted`: somebody needs a rate; else, and with a fixed one, no source is
    ever asked."""

    def __init__(
        self, settings: RateSettings, clock: Clock, log: BoundLogger, *, wanted: bool, inquiry: Inquiry | None = None
    ) -> None:
        """Raises `SettingsError` for the name of a source that there is not."""
        self._settings = settings
        self._clock = clock
        self._log = log
        self._inquiry = inquiry or Inquiry(_chosen(settings), clock)
        self.asks = wanted and settings.fixed is None
        self._wanted = wanted
        self._known: _Known | None = None
        self._silent: Mapping[str, str] = {}
        self._outliers: frozenset[str] = frozenset()
        self._agreed = True

    async def keep(self) -> None:
        """Refresh each minute until cancelled; nothing where nobody is to be asked."""
        while self.asks:
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - what strangers answer must not end this for good
                self._log.error("the sources of rates were not asked", exc_info=error)
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Ask all sources once. Where they do not agree the last agreement stays, and grows old."""
        # What was asked for before the answers came must not be younger than they are.
        monotonic, now = self._clock.monotonic(), self._clock.now()
        answers = await self._inquiry.ask()
        found = agree(answers.prices)
        if found is not None:
            self._known = _Known(found.rate, monotonic, now)
        self._tell(answers, None if found is None else found.outliers)

    @property
    def rate(self) -> Decimal | None:
        """Euros for a bitcoin, without the spread; None where none is known that is younger than ten minutes."""
        if self._settings.fixed is not None:
            return self._settings.fixed_rate if self._wanted else None
        if self._known is None or self._age_s(self._known) > OLDEST_S:
            return None
        return self._known.rate

    def quote(self, price: Fiat) -> Quote:
        """What is credited for `price` now, the operator's spread taken off. Raises `RateUnavailable`."""
        rate = self.rate
        if rate is None:
            raise RateUnavailable(
                "What a bitcoin costs is not known at the moment, so nothing can be paid in euros. Try again later.",
                retry_after=RETRY_S,
            )
        return quote_at(price, with_spread(rate, self._settings.spread_bps))

    def approx(self, amount: int) -> int | None:
        """About what so many msat are worth, in cents, for people to read; None where no rate is known."""
        rate = self.rate
        return None if rate is None else worth(amount, with_spread(rate, 0))

    def _age_s(self, known: _Known) -> float:
        return max(self._clock.monotonic() - known.monotonic, self._clock.now() - known.now)

    def _tell(self, answers: Answers, outliers: frozenset[str] | None) -> None:
        """Log what has changed since the last time."""
        for name in sorted(answers.failures.keys() | self._silent.keys()):
            why = answers.failures.get(name)
            if why is None:
                self._log.info("a source of rates is heard again", source=name)
            elif why != self._silent.get(name):
                self._log.info("a source of rates is not heard", source=name, why=why)
        self._silent = answers.failures
        for name in sorted((outliers or frozenset()) - self._outliers):
            self._log.warning("a source of rates is far from the others", source=name)
        self._outliers = self._outliers if outliers is None else outliers
        agreed = outliers is not None
        if agreed and not self._agreed:
            self._log.info("the sources of rates agree again")
        if not agreed and self._agreed:
            self._log.warning("the sources of rates do not agree", heard=len(answers.prices))
        self._agreed = agreed


def _chosen(settings: RateSettings) -> dict[str, Source]:
    for setting, names in (("sources", settings.sources), ("urls", settings.urls)):
        for name in names:
            if name not in SOURCES:
                raise SettingsError(
                    f"[rates] {setting}: there is no source {name[:64]!r}; there are {', '.join(sorted(SOURCES))}."
                )
    if len(set(settings.sources)) == 1:
        raise SettingsError("[rates] sources: one source alone agrees with nobody; name two or more.")
    chosen = {name: SOURCES[name] for name in settings.sources or sorted(SOURCES)}
    return {
        name: Source(settings.urls.get(name, source.url), source.price, source.at) for name, source in chosen.items()
    }
