"""The plugins of an application, found and built, and what the core shares with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from attrs import frozen
from litestar.enums import ScopeType

import lightphon_core
from lightphon_core.accounts.authenticators import BuiltinAuthenticators
from lightphon_core.host import AccountChanges, Clock, Host, SystemClock, Tasks
from lightphon_core.ledger.earnings import EarningsReader
from lightphon_core.ledger.model_prices import ModelPrices
from lightphon_core.ledger.offer_prices import OfferPrices
from lightphon_core.ledger.pricing import effective_price
from lightphon_core.plugins import Plugins, Source, installed
from lightphon_core.ports import Authenticator, Backend
from lightphon_core.routing.catalogue import Catalogue
from lightphon_core.routing.scorers.plugin import BuiltinScorers
from lightphon_core.settings import Settings, plugin_settings
from lightphon_core.storage.engine import Database
from lightphon_core.types import Offer, PriceInForce, Principal
from lightphon_core.web.api.guards import check_same_origin
from lightphon_core.web.authentication import Connection, authenticate, credentials_of
from lightphon_core.web.edge.bodies import HOLDER
from lightphon_core.web.pages.frame.plugin_pages import framed_for
from lightphon_core.web.paths import is_open


@frozen
class Assembly:
    """The plugins of one application, built, and what the core shares with them."""

    plugins: Plugins
    catalogue: Catalogue
    backends: list[Backend]
    authenticators: list[Authenticator]
    agreed: OfferPrices
    model_prices: ModelPrices
    earnings: EarningsReader
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
    agreed, model_prices, earnings = OfferPrices(database), ModelPrices(database), EarningsReader(database)

    async def who(connection: Connection) -> Principal:
        path = connection.scope["path"]
        by_session = connection.scope["type"] == ScopeType.HTTP and path.startswith("/api/") and not is_open(path)
        if by_session:
            check_same_origin(connection)
        principal = await authenticate(authenticators, credentials_of(connection, cookies=by_session))
        connection.scope["state"][HOLDER] = principal.account_id
        return principal

    def price(offer: Offer) -> PriceInForce:
        return effective_price(settings.pricing, offer, agreed.of(offer), model_prices.all().get(offer.model.id))

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
            public_url=settings.server.public_url,
            page=framed_for(name),
        )

    plugins = Plugins(
        [*_builtin(database), *(installed() if sources is None else sources)],
        allow=settings.plugins.allow,
        block=settings.plugins.block,
        order=settings.plugins.order,
    )
    plugins.build(lambda name, schema: plugin_settings(settings, name, schema, environ), host_for)
    return Assembly(
        plugins,
        catalogue,
        backends,
        authenticators,
        agreed,
        model_prices,
        earnings,
        price,
        tasks,
        account_changes,
    )


def _builtin(database: Database) -> list[Source]:
    version = lightphon_core.__version__
    return [
        Source("accounts", "lightphon-core", version, lambda: partial(BuiltinAuthenticators, database)),
        Source("scorers", "lightphon-core", version, lambda: BuiltinScorers),
    ]
