"""/: what this server is, for everybody; and what to do next, for who is logged in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

from attrs import frozen
from litestar import Response, get

from lightphon_core.accounts.credentials import list_credentials
from lightphon_core.accounts.secrets import Kind
from lightphon_core.ledger.usage import usage_of
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.types import Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.errors import RouteNotFound
from lightphon_core.web.pages.frame.errors import wants_page
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor
from lightphon_core.web.unknown_urls import instead_of

LATELY = 90
"""Days in which somebody who asked before still counts as having begun."""


@frozen
class Progress:
    """What somebody has done of what it takes to get an answer."""

    paid_in: bool
    has_key: bool
    has_asked: bool


@get("/", name="home")
async def home(
    request: Asked, anybody: Given[Visitor | None], gateway: Given[Gateway], database: Given[Database]
) -> Response[str]:
    """The first page. A program that takes the address for an endpoint is told so."""
    if not wants_page(request):
        raise RouteNotFound(f"Unknown request URL: GET /. {instead_of('/')}")
    entries = gateway.catalogue.entries()
    seen = {
        "models": len(gateway.catalogue.models()),
        "nodes": len({(entry.backend.name, entry.offer.node.id) for entry in entries}),
    }
    if anybody is None:
        return page(request, "welcome.html", None, seen=seen)
    today = datetime.fromtimestamp(gateway.clock.now(), UTC).date()
    progress = await database.read(partial(_progress, visitor=anybody, today=today))
    return page(request, "home.html", anybody, seen=seen, progress=progress)


def _progress(connection: Connection, visitor: Visitor, today: date) -> Progress:
    account = visitor.account.id
    wallet = visitor.wallet
    keys = list_credentials(connection, account_id=account, revoked=False)
    used = usage_of(connection, account, first=today - timedelta(days=LATELY), last=today, by=frozenset(), limit=1)
    return Progress(
        paid_in=wallet.available + wallet.held > 0 or bool(used),
        has_key=any(each.kind is not Kind.NODE_TOKEN and Scope.INFERENCE in (each.terms.scopes or ()) for each in keys),
        has_asked=bool(used),
    )
