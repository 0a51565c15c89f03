"""Who is looking at a page: somebody who is logged in, or anybody."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from attrs import frozen
from litestar import Request
from litestar.datastructures import State

from lightphon_core.accounts.people import Account, account_of_id
from lightphon_core.accounts.sessions import session_token
from lightphon_core.errors import PermissionDenied, RequestError, Unauthenticated
from lightphon_core.ledger.statement import Wallet, wallet_of
from lightphon_core.ledger.usage import usual_cost
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.types import Principal, Scope
from lightphon_core.web.authentication import credentials_of, principal_of
from lightphon_core.web.model_list import ModelList
from lightphon_core.web.pages.frame.low_balance import is_low, ordinary_answer

Asked = Request[None, None, State]


@frozen
class Visitor:
    """Somebody who is logged in: the account, what it may do in this session, and its wallet as it was a moment ago.
    `answer_msat` is about what an answer costs: as much as the last ones did, else the cheapest on offer."""

    account: Account
    principal: Principal
    wallet: Wallet
    answer_msat: int

    @property
    def is_low(self) -> bool:
        """Whether little is left in the wallet."""
        return is_low(self.wallet.available, self.answer_msat)

    @property
    def is_admin(self) -> bool:
        """Whether the pages for administrators are theirs."""
        return Scope.ADMIN in self.principal.scopes


_SEEN = "visitor"
"""Where a request's state has it."""


class LogInFirst(RequestError):
    """The page is for people who are logged in. `url` is where to do so, and come back from."""

    code = "not_logged_in"

    def __init__(self, came_for: str) -> None:
        super().__init__("Log in first.")
        self.url = f"/login?next={quote(came_for, safe='/')}"


async def anybody(request: Asked) -> Visitor | None:
    """Who is logged in, if somebody is. A session that has ended is nobody's; keys open no page. A browser may bring
    another Authorization all the same, for the proxy in front."""
    credentials = credentials_of(request, cookies=True)
    if session_token(credentials.cookies) is None or credentials.bearer is not None:
        return None
    gateway: Gateway = request.app.state.gateway
    database: Database = request.app.state.database
    try:
        principal = await principal_of(gateway.authenticators, credentials)
        if principal is None:
            return None
        found = await database.read(partial(_look, principal=principal))
    except (Unauthenticated, PermissionDenied):
        return None
    if found is None:
        return None
    account, wallet, usual = found
    models: ModelList = request.app.state.models
    seen = Visitor(account, principal, wallet, ordinary_answer(models.least_price()) if usual is None else usual)
    request.scope["state"][_SEEN] = seen
    return seen


def seen(request: Request[Any, Any, State]) -> Visitor | None:
    """Who was found to be logged in while this request was looked at; None where nobody was, or nobody asked."""
    found: Visitor | None = request.scope["state"].get(_SEEN)
    return found


async def visitor(request: Asked) -> Visitor:
    """Who is logged in. Raises `LogInFirst` where nobody is."""
    found = await anybody(request)
    if found is None:
        query = request.scope["query_string"].decode("latin-1")
        raise LogInFirst(request.scope["path"] + (f"?{query}" if query else ""))
    return found


async def administrator(request: Asked) -> Visitor:
    """Who is logged in as an administrator.

    Raises:
        LogInFirst: nobody is logged in.
        PermissionDenied: somebody else is.
    """
    found = await visitor(request)
    if not found.is_admin:
        raise PermissionDenied("This page is for administrators. Log in with an administrator's account.")
    return found


def way_back(wanted: str | None) -> str:
    """Where to go after logging in: a path of ours that was asked for, else the first page. Never another host."""
    if wanted is None or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return "/"
    return wanted if wanted.isprintable() else "/"


def _look(connection: Connection, principal: Principal) -> tuple[Account, Wallet, int | None] | None:
    account = account_of_id(connection, principal.account_id)
    if account is None:
        return None
    return account, wallet_of(connection, account.id), usual_cost(connection, account.id)
