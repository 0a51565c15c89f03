"""All pages, in one router: what is common to them."""

from __future__ import annotations

from litestar import Router
from litestar.di import Provide

from lightphon_core.web.api.dependencies import DEPENDENCIES
from lightphon_core.web.pages import deposit_page, design, entrance, home, usage, wallet, withdrawals
from lightphon_core.web.pages.assets import asset
from lightphon_core.web.pages.errors import PAGE_HANDLERS
from lightphon_core.web.pages.visitors import administrator, anybody, visitor

VISITORS = {
    "anybody": Provide(anybody),
    "visitor": Provide(visitor),
    "administrator": Provide(administrator),
}
"""What a page's handler asks for by name, to say whom it is for."""


def pages() -> Router:
    """The router of the web app."""
    return Router(
        "/",
        route_handlers=[
            asset,
            home.home,
            *entrance.ROUTES,
            design.design,
            *usage.ROUTES,
            *wallet.ROUTES,
            withdrawals.withdrawals,
            deposit_page.deposit_page,
        ],
        dependencies={**DEPENDENCIES, **VISITORS},
        exception_handlers=PAGE_HANDLERS,
        include_in_schema=False,
    )
