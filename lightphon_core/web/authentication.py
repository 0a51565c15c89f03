"""Who a connection acts for: its credentials, and the authenticators that read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litestar.connection import ASGIConnection

from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import COOKIE
from lightphon_core.errors import PermissionDenied, Unauthenticated
from lightphon_core.openai.selection import clients_of
from lightphon_core.ports import Authenticator
from lightphon_core.settings import Settings
from lightphon_core.types import Credentials, Principal, Scope

CLIENT_HEADER = "x-lightphon-client"

Connection = ASGIConnection[Any, Any, Any, Any]


def credentials_of(connection: Connection, *, cookies: bool = False) -> Credentials:
    """What the connection brought along. Cookies stay out, unless asked for by a route that looks at the origin of what
    it is sent: all others are open to every origin.
    """
    return Credentials(
        headers={name.lower(): value for name, value in connection.headers.items()},
        cookies=cookies_of(connection) if cookies else {},
        path_token=connection.path_params.get("token"),
        client=connection.client.host if connection.client else None,
    )


def came_via(connection: Connection) -> frozenset[str]:
    """The kinds of gateway that a request says it came through (x-lightphon-client). Raises `InvalidRequest`."""
    return clients_of(", ".join(connection.headers.getall(CLIENT_HEADER, [])))


def cookies_of(connection: Connection) -> Mapping[str, str]:
    """Its cookies. Behind https a session's has a name that nobody else can set; one of the plain name may have been
    planted by a neighbouring host, or by plain http, to have somebody go on in a stranger's session."""
    settings: Settings = connection.app.state.settings
    passed = connection.cookies.items()
    return {name: value for name, value in passed if name != COOKIE or not settings.server.behind_https}


async def authenticate(authenticators: Sequence[Authenticator], credentials: Credentials) -> Principal:
    """The principal of the first authenticator that knows the credentials. Raises `Unauthenticated`."""
    principal = await principal_of(authenticators, credentials)
    if principal is not None:
        return principal
    if credentials.path_token is not None:
        if credentials.path_token.startswith(Kind.API_KEY.prefix):
            raise Unauthenticated(
                "An API key stands in the URL, where agent tokens belong. Send it as "
                '"Authorization: Bearer lp_...", and leave it out of the URL.'
            )
        raise Unauthenticated("The token in the URL is not an agent token of this server. Check the base URL.")
    if credentials.bearer is not None:
        if credentials.bearer.startswith(Kind.AGENT_TOKEN.prefix):
            raise Unauthenticated(
                "This is an agent token, which belongs in the base URL: /api/agent/at_.../v1. Or send an API key here."
            )
        raise Unauthenticated("The API key is not one of this server's. Check that it was copied whole.")
    raise Unauthenticated('No API key was sent. Send it as "Authorization: Bearer lp_...".')


async def principal_of(authenticators: Sequence[Authenticator], credentials: Credentials) -> Principal | None:
    """The same; None where none knows them. Raises `Unauthenticated` where one knows that they are bad."""
    for authenticator in authenticators:
        principal = await authenticator.authenticate(credentials)
        if principal is not None:
            return principal
    return None


def require(principal: Principal, scope: Scope) -> None:
    """Raise `PermissionDenied` unless the credential has the scope."""
    if scope not in principal.scopes:
        raise PermissionDenied(f"This credential is not for {scope}; use one that was made for it.")
