"""What the journey of a request needs of the application, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from lightphon_core.accounts.limits import Limiter
from lightphon_core.host import Clock, Tasks
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.ledger.model_prices import ModelPrices
from lightphon_core.ledger.offer_prices import OfferPrices
from lightphon_core.ledger.pricing import effective_price
from lightphon_core.ports import Authenticator
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.router import Router
from lightphon_core.routing.sessions import Sessions
from lightphon_core.serving.keeper import Keeper
from lightphon_core.serving.outcome import Outcome, ignore
from lightphon_core.serving.places import Places
from lightphon_core.serving.revocation import Revocation
from lightphon_core.serving.waiting import WaitingRoom
from lightphon_core.serving.work import END_S
from lightphon_core.settings import LimitSettings, PricingSettings
from lightphon_core.types import Needs, Offer, PriceInForce, Principal, RateLimits

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


def came_through(principal: Principal, said: frozenset[str]) -> frozenset[str]:
    """The kinds of gateway that a request came through: what is `said` of it, and what the key is marked with. So
    nobody gets rid of a mark by saying less."""
    return said if principal.used_by is None else said | {principal.used_by}


@define
class Gateway:
    """One per application; handed to every request. `started_at` is in seconds since 1970; `ended` hears of every
    journey that is over. `agreed` are the prices that accounts set for their nodes, `model_prices` those that
    administrators set. `tasks` are the journeys, `works` what backends do for them. Large bodies are
    decoded under `reading`, one at a time.

    Once it is `closing`, no new journeys begin.
    """

    authenticators: Sequence[Authenticator]
    router: Router
    sessions: Sessions
    limits: LimitSettings
    limiter: Limiter
    pricing: PricingSettings
    agreed: OfferPrices
    model_prices: ModelPrices
    ledger: Ledger
    keeper: Keeper
    lease_us: int
    max_body_bytes: int
    places: Places
    waiting: WaitingRoom
    revocation: Revocation
    clock: Clock
    tasks: Tasks
    works: Tasks
    log: BoundLogger
    started_at: int
    ended: Callable[[Outcome], None] = ignore
    reading: asyncio.Lock = field(factory=asyncio.Lock)
    closing: bool = False

    @property
    def catalogue(self) -> Catalogue:
        """What is on offer."""
        return self.router.catalogue

    def price(self, offer: Offer) -> PriceInForce:
        """What an offer costs now."""
        asked = self.model_prices.all().get(offer.model.id)
        return effective_price(self.pricing, offer, self.agreed.of(offer), asked)

    def needs_of(self, principal: Principal, asked: Needs, session: bytes | None) -> Needs:
        """What was asked for, and what only the gateway knows of who asks: the filters that their key has by default,
        what it is used by, and their own name of the `session`, a digest of what tells it from their others."""
        name = None if session is None else self.sessions.name(principal.account_id, session)
        filters, via = asked.filters.over(principal.filters), came_through(principal, asked.via)
        return evolve(asked, filters=filters, via=via, session=name)

    @property
    def account_limits(self) -> RateLimits:
        """Those that hold for each account, over all its keys."""
        limits = self.limits
        return RateLimits(limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)

    async def close(self, grace_s: float) -> None:
        """Begin no more journeys, and give those under way `grace_s` seconds to end before they are cancelled."""
        self.closing = True
        await self.tasks.finish(grace_s)
        await self.tasks.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await self.works.stop()
