"""All pages, in one router: what is common to them."""

from __future__ import annotations

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler

from lightphon_core.web.api.dependencies import DEPENDENCIES
from lightphon_core.web.pages import account, design, entrance, home, playground
from lightphon_core.web.pages.administration import accounts, instance, money, overview
from lightphon_core.web.pages.frame.assets import asset
from lightphon_core.web.pages.frame.errors import PAGE_HANDLERS
from lightphon_core.web.pages.frame.rendering import Pages
from lightphon_core.web.pages.frame.visitors import administrator, anybody, visitor
from lightphon_core.web.pages.guide.page import guide
from lightphon_core.web.pages.network import download, nodes, status
from lightphon_core.web.pages.router.page import router
from lightphon_core.web.pages.usage import page as usage
from lightphon_core.web.pages.wallet import deposit_page, withdrawals
from lightphon_core.web.pages.wallet import page as wallet

VISITORS = {
    "anybody": Provide(anybody),
    "visitor": Provide(visitor),
    "administrator": Provide(administrator),
}
"""What a page's handler asks for by name, to say whom it is for."""


def pages() -> Router:
    """The router of the web app."""
    return _router(
        asset,
        home.home,
        *entrance.ROUTES,
        account.account,
        *wallet.ROUTES,
        withdrawals.withdrawals,
        deposit_page.deposit_page,
        router,
        playground.playground,
        nodes.nodes_page,
        *usage.ROUTES,
        guide,
        status.status_page,
        *overview.ROUTES,
        *accounts.ROUTES,
        *instance.ROUTES,
        *money.ROUTES,
        design.design,
    )


def complete(app: Litestar) -> None:
    """Tell the frame which pages there are, once all routes are known, and stand in for what no plugin has."""
    shown: Pages = app.state.pages
    shown.paths = frozenset(route.path for route in app.routes)
    if download.PATH not in shown.paths:
        app.register(_router(download.no_downloads))


def _router(*handlers: HTTPRouteHandler) -> Router:
    return Router(
        "/",
        route_handlers=handlers,
        dependencies={**DEPENDENCIES, **VISITORS},
        exception_handlers=PAGE_HANDLERS,
        include_in_schema=False,
    )
