"""/api/account: register, log in and out, and one's own account. By a session's cookie; keys open none of it."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from litestar import Request, delete, get, post
from litestar.datastructures import State
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from lightphon_core.accounts.membership import Entered, Membership
from lightphon_core.accounts.people import Account
from lightphon_core.accounts.sessions import COOKIE, SECURE_COOKIE, session_token
from lightphon_core.errors import PermissionDenied, Unauthenticated
from lightphon_core.openai.body import object_fields, typed
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.types import Principal, Scope
from lightphon_core.web.authentication import authenticate, credentials_of, require
from lightphon_core.web.inference import read_body
from lightphon_core.web.origin import check_origin, origin_of

T = TypeVar("T")
Asked = Request[None, None, State]

MAX_BODY_BYTES = 16_384


class _Registration(msgspec.Struct):
    name: str
    password: str
    invite: str | None = None


class _Login(msgspec.Struct):
    name: str
    password: str


class _Change(msgspec.Struct):
    current_password: str
    new_password: str


_registration = msgspec.json.Decoder(_Registration)
_login = msgspec.json.Decoder(_Login)
_change = msgspec.json.Decoder(_Change)


@post("/api/account/register", name="register", status_code=200)
async def register(request: Asked) -> ASGIApp:
    """A new account, logged in: {"name", "password", "invite"}."""
    _same_origin(request)
    body = await _body(request, _registration)
    entered = await _membership(request).register(
        body.name, body.password, invite=body.invite, client=_client(request), old_token=_token(request)
    )
    return _entered(request, entered)


@post("/api/account/login", name="login", status_code=200)
async def login(request: Asked) -> ASGIApp:
    """A new session: {"name", "password"}."""
    _same_origin(request)
    body = await _body(request, _login)
    entered = await _membership(request).log_in(
        body.name, body.password, client=_client(request), old_token=_token(request)
    )
    return _entered(request, entered)


@post("/api/account/logout", name="logout", status_code=200)
async def logout(request: Asked) -> ASGIApp:
    """End the session. Without one it does nothing."""
    _same_origin(request)
    if (token := _token(request)) is not None:
        await _membership(request).log_out(token)
    return _answer({"logged_out": True}, _cookie(request, "", max_age_s=0))


@get("/api/account", name="account")
async def show(request: Asked) -> ASGIApp:
    """Who is logged in. `recent_password`: whether the session may do now what cannot be undone."""
    principal = await _person(request)
    account = await _membership(request).account(principal.account_id)
    return _answer({**_as_json(account), "recent_password": Scope.MANAGE in principal.scopes})


@post("/api/account/password", name="change_password", status_code=200)
async def change_password(request: Asked) -> ASGIApp:
    """{"current_password", "new_password"}. Every other session ends; this one goes on under a new token."""
    _same_origin(request)
    principal = await _person(request)
    body = await _body(request, _change)
    entered = await _membership(request).change_password(principal.account_id, body.current_password, body.new_password)
    return _entered(request, entered)


@delete("/api/account", name="delete_account", status_code=200)
async def delete_account(request: Asked) -> ASGIApp:
    """Remove the account for good, unless it has obligations. Needs a recent password."""
    _same_origin(request)
    principal = await _person(request)
    if Scope.MANAGE not in principal.scopes:
        raise PermissionDenied("Log in again first: this needs your password anew.", code="password_required")
    await _membership(request).delete(principal.account_id)
    return _answer({"deleted": True}, _cookie(request, "", max_age_s=0))


ROUTES = [register, login, logout, show, change_password, delete_account]


async def _person(request: Asked) -> Principal:
    gateway: Gateway = request.app.state.gateway
    credentials = credentials_of(request, cookies=True)
    if credentials.bearer is None and _token(request) is None:
        raise Unauthenticated("Log in first: POST /api/account/login.", code="not_logged_in")
    principal = await authenticate(gateway.authenticators, credentials)
    require(principal, Scope.ACCOUNT)
    return principal


def _same_origin(request: Asked) -> None:
    own = origin_of(_settings(request).server.public_url, request.headers.get("host"), request.scope["scheme"])
    check_origin(request.headers.get("origin"), own, cookie="cookie" in request.headers)


async def _body(request: Asked, decoder: msgspec.json.Decoder[T]) -> T:
    # A client that hung up gets the same answer as an empty body; nobody reads it.
    body = await read_body(request, MAX_BODY_BYTES) or b""
    object_fields(body)  # refuses what is no object, or has a field twice
    return typed(body, decoder, {})


def _entered(request: Asked, entered: Entered) -> ASGIResponse:
    lifetime_s = _settings(request).accounts.session_lifetime_s
    return _answer(_as_json(entered.account), _cookie(request, entered.token, max_age_s=lifetime_s))


def _cookie(request: Asked, token: str, *, max_age_s: int) -> dict[str, str]:
    secure = (_settings(request).server.public_url or "").startswith("https:")
    name, last = (SECURE_COOKIE, "; Secure") if secure else (COOKIE, "")
    return {"set-cookie": f"{name}={token}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{last}"}


def _answer(body: dict[str, Any], headers: dict[str, str] | None = None) -> ASGIResponse:
    return ASGIResponse(
        body=msgspec.json.encode(body),
        media_type="application/json",
        headers={"cache-control": "no-store", **(headers or {})},
    )


def _as_json(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "created_at": account.created_at // 1_000_000,
        "is_admin": account.admin_since is not None,
    }


def _client(request: Asked) -> str | None:
    return request.client.host if request.client else None


def _token(request: Asked) -> str | None:
    return session_token(request.cookies)


def _settings(request: Asked) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _membership(request: Asked) -> Membership:
    membership: Membership = request.app.state.membership
    return membership
