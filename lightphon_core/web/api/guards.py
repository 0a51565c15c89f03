"""Who may use a route of the JSON API. Guards run before anything of a request's body is read."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from lightphon_core.accounts.sessions import is_session, session_token
from lightphon_core.errors import PermissionDenied, Unauthenticated
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.types import Principal, Scope
from lightphon_core.web.api.origin import check_origin, origin_of
from lightphon_core.web.authentication import authenticate, credentials_of, require
from lightphon_core.web.edge.access_log import NOTED
from lightphon_core.web.paths import is_open

Connection = ASGIConnection[Any, Any, Any, Any]
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


async def same_origin(connection: Connection, _: BaseRouteHandler) -> None:
    """A guard: what changes something comes from our own page, or from a program.

    Raises:
        PermissionDenied: it came from another site's page, or might have.
    """
    check_same_origin(connection)


def check_same_origin(connection: Connection) -> None:
    """The same, for whoever is no guard. Raises `PermissionDenied`."""
    if connection.scope.get("method") not in SAFE_METHODS:
        settings: Settings = connection.app.state.settings
        own = origin_of(settings.server.public_url, connection.headers.get("host"), connection.scope["scheme"])
        check_origin(connection.headers.get("origin"), own, cookie="cookie" in connection.headers)


class Requires:
    """A guard: the session or the key has one of these scopes. Several guards on a route must all be passed."""

    def __init__(self, *any_of: Scope) -> None:
        self.any_of = any_of

    async def __call__(self, connection: Connection, handler: BaseRouteHandler) -> None:
        """Let the request pass, and note whom it acts for.

        Raises:
            PermissionDenied: as `same_origin`, or none of the scopes is there.
            Unauthenticated: there is no credential, or one that is not valid.
        """
        principal: Principal | None = connection.scope.get("user")
        if principal is None:
            # Where pages of every origin may call, a key comes from any of them, and then no cookie is looked at.
            by_key = is_open(connection.scope["path"]) and "authorization" in connection.headers
            if not by_key:
                await same_origin(connection, handler)
            connection.scope["user"] = principal = await _who(connection, cookies=not by_key)
        if principal.scopes.isdisjoint(self.any_of):
            if self.any_of == (Scope.MANAGE,) and Scope.ACCOUNT in principal.scopes and is_session(principal):
                raise PermissionDenied("Log in again first: this needs your password anew.", code="password_required")
            require(principal, self.any_of[0])
        if Scope.ADMIN in self.any_of and connection.scope.get("method") not in SAFE_METHODS:
            # Who did it, for the line in the log. What it was done to is added by the route.
            connection.scope["state"][NOTED] = {"by": principal.account_id, "credential": principal.credential_id}


async def _who(connection: Connection, *, cookies: bool) -> Principal:
    credentials = credentials_of(connection, cookies=cookies)
    if credentials.bearer is None and session_token(credentials.cookies) is None:
        raise Unauthenticated(
            'Log in first (POST /api/account/login), or send a key as "Authorization: Bearer lp_...".',
            code="not_logged_in",
        )
    gateway: Gateway = connection.app.state.gateway
    return await authenticate(gateway.authenticators, credentials)
