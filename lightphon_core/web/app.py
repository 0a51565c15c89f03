"""The application: every part is made here, once, and handed to whoever needs it."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar
from litestar.datastructures import State

import lightphon_core
from lightphon_core.accounts.directory import duties_of
from lightphon_core.accounts.membership import Membership
from lightphon_core.accounts.passwords import Passwords
from lightphon_core.accounts.stored_limiter import StoredLimiter
from lightphon_core.host import Clock, SystemClock, Tasks
from lightphon_core.ledger.adjustment import give_up
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.ledger.obligations import obligations_of
from lightphon_core.ledger.prover import Prover
from lightphon_core.payments.deposits import store as deposit_store
from lightphon_core.plugins import Source
from lightphon_core.ports import Authenticator, Backend, Scorer
from lightphon_core.routing.breakers import Breakers
from lightphon_core.routing.observations import Observations
from lightphon_core.routing.occupancy import Occupancy
from lightphon_core.routing.router import Router
from lightphon_core.routing.scoring import weighted
from lightphon_core.routing.sessions import Sessions
from lightphon_core.serving.gateway import Gateway
from lightphon_core.serving.keeper import Keeper
from lightphon_core.serving.outcome import Outcome
from lightphon_core.serving.places import Places
from lightphon_core.serving.revocation import Revocation
from lightphon_core.serving.waiting import WaitingRoom
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Connection as Transaction
from lightphon_core.storage.engine import Database
from lightphon_core.web import inference, models
from lightphon_core.web.api.routes import api
from lightphon_core.web.assembly import assemble
from lightphon_core.web.edge.body_room import BodyRoom
from lightphon_core.web.inference_operations import SCHEMAS
from lightphon_core.web.model_list import ModelList
from lightphon_core.web.monitoring import health, metrics
from lightphon_core.web.monitoring.recent import Recent
from lightphon_core.web.openapi import openapi_config
from lightphon_core.web.pages.frame.assets import load_assets
from lightphon_core.web.pages.frame.errors import EVERYWHERE
from lightphon_core.web.pages.frame.plugin_pages import plugin_templates
from lightphon_core.web.pages.frame.rendering import Pages
from lightphon_core.web.pages.routes import complete, pages
from lightphon_core.web.payments import assemble_payments
from lightphon_core.web.webhooks import receive_webhook

log = structlog.stdlib.get_logger("lightphon")


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
    payments = assemble_payments(plugins, database, settings, clock)
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
        not_in_auto=settings.routing.not_in_auto,
    )
    assembly.agreed.subscribe(router.prices_changed)
    assembly.model_prices.on_change(router.models_repriced)
    gateway = Gateway(
        authenticators=assembly.authenticators,
        router=router,
        sessions=sessions,
        limits=settings.limits,
        limiter=limiter,
        pricing=settings.pricing,
        agreed=assembly.agreed,
        model_prices=assembly.model_prices,
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

    assets = load_assets()
    passwords = Passwords()
    membership = Membership(database, passwords, settings.accounts, clock, _obligations, give_up, limiter)

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncGenerator[None, None]:
        await assembly.agreed.refresh()
        await assembly.model_prices.refresh()
        await plugins.start()
        background.spawn(assembly.agreed.keep(log), name="keep prices")
        background.spawn(assembly.model_prices.keep(log), name="keep prices of models")
        background.spawn(gateway.keeper.keep(), name="keep holds")
        background.spawn(gateway.keeper.mature(), name="mature earnings")
        background.spawn(gateway.keeper.prune(), name="remove old usage")
        background.spawn(limiter.keep(), name="keep limits")
        background.spawn(gateway.revocation.keep(), name="look at credentials")
        payments.run(background)
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

    app = Litestar(
        route_handlers=[
            health.healthz,
            health.readyz,
            metrics.metrics,
            models.list_models,
            models.get_model,
            *inference.ROUTES,
            api(),
            receive_webhook,
            pages(),
            *routes,
        ],
        lifespan=[running],
        exception_handlers=EVERYWHERE,
        state=State(
            {
                "gateway": gateway,
                "models": ModelList(
                    router, started_at=gateway.started_at, max_output_tokens=settings.limits.max_output_tokens
                ),
                "assets": assets,
                "body_room": BodyRoom(settings.server.max_bodies_bytes),
                "pages": Pages(assets, settings, plugin_templates(plugins.ready())),
                "database": database,
                "earnings": assembly.earnings,
                "membership": membership,
                "deposits": payments.deposits,
                "rates": payments.rates,
                "payouts": payments.payouts,
                "payout_administration": payments.administration,
                "passwords": passwords,
                "settings": settings,
                "account_changes": assembly.account_changes,
                "metrics": counted,
                "recent": recent,
                "readiness": health.Readiness(gateway, database),
                "plugin_schemas": plugins.schemas(),
                "plugins": plugins,
                "prover": Prover(database),
            }
        ),
        openapi_config=openapi_config(lightphon_core.__version__, settings.server, SCHEMAS),
        request_max_body_size=None,  # web/inference.py counts, and answers in OpenAI's shape
        logging_config=None,
    )
    complete(app)
    return app


def _obligations(connection: Transaction, account_id: str) -> list[str]:
    duties = [*duties_of(connection, account_id), *deposit_store.duties(connection, account_id)]
    return [*obligations_of(connection, account_id), *duties]
