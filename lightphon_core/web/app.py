"""The application: every part is made here, once, and handed to whoever needs it."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from attrs import frozen
from litestar import Litestar
from litestar.datastructures import State

import lightphon_core
from lightphon_core.accounts.authenticators import BuiltinAuthenticators
from lightphon_core.accounts.directory import duties_of
from lightphon_core.accounts.membership import Membership
from lightphon_core.accounts.passwords import Passwords
from lightphon_core.accounts.stored_limiter import StoredLimiter
from lightphon_core.errors import SettingsError
from lightphon_core.host import AccountChanges, Clock, Host, SystemClock, Tasks
from lightphon_core.ledger.earnings import EarningsReader
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.ledger.obligations import obligations_of
from lightphon_core.ledger.offer_prices import OfferPrices
from lightphon_core.ledger.pricing import effective_price
from lightphon_core.plugins import Plugins, Source, installed
from lightphon_core.ports import Authenticator, Backend, Scorer
from lightphon_core.routing.breakers import Breakers
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.occupancy import Occupancy
from lightphon_core.routing.presets import DEFAULT_WEIGHTS
from lightphon_core.routing.router import Router, Weighted
from lightphon_core.routing.scorers.plugin import BuiltinScorers
from lightphon_core.routing.sessions import Sessions
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.keeper import Keeper
from lightphon_core.serving.outcome import Outcome
from lightphon_core.serving.places import Places
from lightphon_core.serving.revocation import Revocation
from lightphon_core.serving.waiting import WaitingRoom
from lightphon_core.settings import Settings, plugin_settings
from lightphon_core.storage.engine import Connection as Transaction
from lightphon_core.storage.engine import Database
from lightphon_core.types import Offer, PriceInForce, Principal
from lightphon_core.web import inference, models
from lightphon_core.web.api.routes import api
from lightphon_core.web.authentication import Connection, authenticate, credentials_of
from lightphon_core.web.errors import HANDLERS
from lightphon_core.web.monitoring import health, metrics
from lightphon_core.web.monitoring.recent import Recent
from lightphon_core.web.openapi import openapi_config

log = structlog.stdlib.get_logger("lightphon")


@frozen
class Assembly:
    """The plugins of one application, built, and what the core shares with them."""

    plugins: Plugins
    catalogue: Catalogue
    backends: list[Backend]
    authenticators: list[Authenticator]
    agreed: OfferPrices
    price: Callable[[Offer], PriceInForce]
    tasks: list[Tasks]
    account_changes: AccountChanges


def assemble(
    settings: Settings,
    database: Database,
    environ: Mapping[str, str],
    *,
    sources: Sequence[Source] | None = None,
    clock: Clock | None = None,
) -> Assembly:
    """Find and build the plugins; broken ones are marked, not raised.

    `sources` are the plugins to use instead of the installed ones; the built-in ones always come first.
    """
    backends: list[Backend] = []
    authenticators: list[Authenticator] = []
    # Plugins are built before anyone knows what they bring, so they share lists that are filled afterwards.
    clock = clock or SystemClock()
    catalogue = Catalogue(backends, clock.now)
    tasks: list[Tasks] = []
    account_changes = AccountChanges()
    agreed, earnings = OfferPrices(database), EarningsReader(database)

    async def who(connection: Connection) -> Principal:
        return await authenticate(authenticators, credentials_of(connection))

    def price(offer: Offer) -> PriceInForce:
        return effective_price(settings.pricing, offer, agreed.of(offer))

    def host_for(name: str, own: Any) -> Host[Any]:
        plugin_log = structlog.stdlib.get_logger(f"lightphon.{name}")
        tasks.append(Tasks(plugin_log))
        return Host(
            name,
            own,
            plugin_log,
            clock,
            tasks[-1],
            catalogue.invalidate,
            who,
            on_account_change=account_changes.subscribe,
            earnings=earnings.of,
            price=price,
        )

    plugins = Plugins(
        [*_builtin(database), *(installed() if sources is None else sources)],
        allow=settings.plugins.allow,
        block=settings.plugins.block,
        order=settings.plugins.order,
    )
    plugins.build(lambda name, schema: plugin_settings(settings, name, schema, environ), host_for)
    return Assembly(plugins, catalogue, backends, authenticators, agreed, price, tasks, account_changes)


def create_app(
    settings: Settings,
    database: Database,
    environ: Mapping[str, str],
    *,
    sources: Sequence[Source] | None = None,
    clock: Clock | None = None,
) -> Litestar:
    """The application, which `server_for` serves. Raises `ConfigurationError` for what the operator has to mend."""
    clock = clock or SystemClock()
    assembly = assemble(settings, database, environ, sources=sources, clock=clock)
    plugins = assembly.plugins
    plugins.check()
    assembly.backends.extend(plugins.collect("register_backends", Backend))
    assembly.authenticators.extend(plugins.collect("register_authenticators", Authenticator))
    scorers: list[Scorer] = plugins.collect("register_scorers", Scorer)
    routes: list[Any] = plugins.collect("register_routes", object)
    ledger = Ledger(database)
    counted, recent = metrics.Metrics(), Recent(clock.monotonic)

    def ended(outcome: Outcome) -> None:
        counted.ended(outcome)
        recent.ended(outcome)

    limiter = StoredLimiter(database)
    sessions = Sessions(secrets.token_bytes(32), clock.monotonic)
    background = Tasks(log)
    observations = Observations(clock.monotonic)
    places = Places(Occupancy(clock.monotonic), Breakers(clock.monotonic, random.random), observations)
    router = Router(
        assembly.catalogue,
        weighted(scorers, settings.routing.weights),
        observations,
        assembly.price,
        holder=sessions.holder,
        allows=places.breakers.allows,
        load=places.occupancy.load,
        rest_s=places.breakers.retry_after_s,
    )
    assembly.agreed.subscribe(router.prices_changed)
    gateway = Gateway(
        authenticators=assembly.authenticators,
        router=router,
        sessions=sessions,
        limits=settings.limits,
        limiter=limiter,
        pricing=settings.pricing,
        agreed=assembly.agreed,
        ledger=ledger,
        keeper=Keeper(ledger, settings.ledger, settings.usage, log),
        lease_us=round(settings.ledger.lease_s * 1_000_000),
        max_body_bytes=settings.server.max_body_bytes,
        places=places,
        waiting=WaitingRoom(places, router, settings.limits, clock, counted.waited),
        revocation=Revocation(background, log),
        clock=clock,
        tasks=Tasks(log),
        works=Tasks(log),
        log=log,
        started_at=int(clock.now()),
        ended=ended,
    )
    assembly.account_changes.subscribe(gateway.revocation.changed)

    passwords = Passwords()
    membership = Membership(database, passwords, settings.accounts, clock, _obligations, limiter)

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncGenerator[None, None]:
        await assembly.agreed.refresh()
        await plugins.start()
        background.spawn(assembly.agreed.keep(log), name="keep prices")
        background.spawn(gateway.keeper.keep(), name="keep holds")
        background.spawn(gateway.keeper.mature(), name="mature earnings")
        background.spawn(gateway.keeper.prune(), name="remove old usage")
        background.spawn(limiter.keep(), name="keep limits")
        background.spawn(gateway.revocation.keep(), name="look at credentials")
        try:
            yield
        finally:
            await gateway.close(0)
            await background.stop()
            await ledger.close()
            await limiter.close()
            for error in await plugins.stop():
                log.warning("plugin did not stop cleanly", error=error.message)
            for tasks in assembly.tasks:
                await tasks.stop()
            passwords.close()
            database.close()

    return Litestar(
        route_handlers=[
            health.healthz,
            health.readyz,
            metrics.metrics,
            models.list_models,
            models.get_model,
            inference.chat_completions,
            api(),
            *routes,
        ],
        lifespan=[running],
        exception_handlers=HANDLERS,
        state=State(
            {
                "gateway": gateway,
                "database": database,
                "membership": membership,
                "passwords": passwords,
                "settings": settings,
                "account_changes": assembly.account_changes,
                "metrics": counted,
                "recent": recent,
                "readiness": health.Readiness(gateway, database),
                "plugin_schemas": plugins.schemas(),
            }
        ),
        openapi_config=openapi_config(lightphon_core.__version__),
        request_max_body_size=None,  # web/inference.py counts, and answers in OpenAI's shape
        logging_config=None,
    )


def weighted(scorers: Sequence[Scorer], weights: Mapping[str, float]) -> list[Weighted]:
    """Each scorer with its weight from `[routing.weights]`, else that of the built-in ones, else 1."""
    unknown = sorted(set(weights) - {scorer.name for scorer in scorers})
    if unknown:
        names = ", ".join(sorted(scorer.name for scorer in scorers))
        raise SettingsError(f"[routing.weights] names {unknown[0]!r}, which is no scorer. The scorers are {names}.")
    effective = {**DEFAULT_WEIGHTS, **weights}
    return [Weighted(scorer, effective.get(scorer.name, 1.0)) for scorer in scorers]


def _obligations(connection: Transaction, account_id: str) -> list[str]:
    return [*obligations_of(connection, account_id), *duties_of(connection, account_id)]


def _builtin(database: Database) -> list[Source]:
    version = lightphon_core.__version__
    return [
        Source("accounts", "lightphon-core", version, lambda: partial(BuiltinAuthenticators, database)),
        Source("scorers", "lightphon-core", version, lambda: BuiltinScorers),
    ]
