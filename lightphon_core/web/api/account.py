"""/api/account: register, log in and out, and one's own account."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from litestar import Response, delete, get, post
from litestar.params import JSONBody, QueryParameter

from lightphon_core.accounts.membership import Entered, Membership
from lightphon_core.accounts.people import Account
from lightphon_core.accounts.sessions import end_sessions, session_token
from lightphon_core.host import AccountChanges
from lightphon_core.ledger.budgets import check_unbound
from lightphon_core.money import MAX_MSAT
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database
from lightphon_core.types import Principal, Scope
from lightphon_core.web.api.body import Body
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires, same_origin
from lightphon_core.web.api.json_request import JsonRequest
from lightphon_core.web.api.login_cookies import device_cookie, login_cookies, logout_cookies
from lightphon_core.web.authentication import cookies_of
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals


class Registration(Body):
    """`invite` is the code of an invitation, where one is needed."""

    name: str
    password: str
    invite: str | None = None


class Login(Body):
    """A name and its password."""

    name: str
    password: str


class PasswordChange(Body):
    """The password as it is, and as it shall be."""

    current_password: str
    new_password: str


class AccountInfo(msgspec.Struct, frozen=True):
    """`created_at` is in seconds since 1970."""

    id: str
    name: str
    created_at: int
    is_admin: bool


class OwnAccount(AccountInfo, frozen=True):
    """`recent_password`: whether this session or key may do now what cannot be undone."""

    recent_password: bool


class LoggedOut(msgspec.Struct, frozen=True):
    """There is no such session any more."""

    logged_out: bool = True


class Deleted(msgspec.Struct, frozen=True):
    """The account is gone."""

    deleted: bool = True


@post(
    "/account/register",
    name="register",
    tags=["account"],
    status_code=200,
    guards=[same_origin],
    responses=refusals(401, 403, 429, *TAKES_BODY),
)
async def register(
    request: JsonRequest,
    data: JSONBody[Registration],
    membership: Given[Membership],
    settings: Given[Settings],
    account_changes: Given[AccountChanges],
) -> Response[AccountInfo]:
    """A new account, logged in by a cookie."""
    entered = await membership.register(
        data.name, data.password, invite=data.invite, client=_client(request), old_token=_token(request)
    )
    return _entered(entered, settings, account_changes)


@post(
    "/account/login",
    name="login",
    tags=["account"],
    status_code=200,
    guards=[same_origin],
    responses=refusals(*GUARDED, *TAKES_BODY),
)
async def login(
    request: JsonRequest,
    data: JSONBody[Login],
    membership: Given[Membership],
    settings: Given[Settings],
    account_changes: Given[AccountChanges],
) -> Response[AccountInfo]:
    """A new session, by a cookie. The one before ends. By a second cookie, `lightphon_device`, the browser is known at
    its next log-in, which has limits of its own then: others who try this name do not keep it out."""
    entered = await membership.log_in(
        data.name,
        data.password,
        client=_client(request),
        old_token=_token(request),
        device_cookie=device_cookie(request, settings),
    )
    return _entered(entered, settings, account_changes)


@post(
    "/account/logout",
    name="logout",
    tags=["account"],
    status_code=200,
    guards=[same_origin],
    responses=refusals(403),
)
async def logout(
    request: JsonRequest,
    membership: Given[Membership],
    settings: Given[Settings],
    account_changes: Given[AccountChanges],
) -> Response[LoggedOut]:
    """End the session. Without one it does nothing."""
    token = _token(request)
    if token is not None and (left := await membership.log_out(token)) is not None:
        account_changes.publish(left)
    return Response(LoggedOut(), cookies=logout_cookies(settings))


@get(
    "/account",
    name="account",
    tags=["account"],
    guards=[Requires(Scope.ACCOUNT)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def get_account(principal: Given[Principal], membership: Given[Membership]) -> OwnAccount:
    """Whose session or key this is."""
    account = await membership.account(principal.account_id)
    info = account_info(account)
    return OwnAccount(info.id, info.name, info.created_at, info.is_admin, Scope.MANAGE in principal.scopes)


@post(
    "/account/password",
    name="change_password",
    tags=["account"],
    status_code=200,
    guards=[Requires(Scope.ACCOUNT)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED, *TAKES_BODY),
)
async def change_password(
    data: JSONBody[PasswordChange],
    principal: Given[Principal],
    membership: Given[Membership],
    settings: Given[Settings],
    account_changes: Given[AccountChanges],
) -> Response[AccountInfo]:
    """Give the account another password. Every other session ends; this one goes on under a new token."""
    entered = await membership.change_password(principal.account_id, data.current_password, data.new_password)
    return _entered(entered, settings, account_changes)


@delete(
    "/account/sessions",
    name="log_out_elsewhere",
    tags=["account"],
    status_code=200,
    guards=[Requires(Scope.MANAGE)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def log_out_elsewhere(
    principal: Given[Principal], database: Given[Database], account_changes: Given[AccountChanges]
) -> LoggedOut:
    """End every other session of the account; keys go on. Asked by a key, all of them."""
    await database.write(partial(end_sessions, account_id=principal.account_id, but=principal.credential_id))
    account_changes.publish(principal.account_id)
    return LoggedOut()


@delete(
    "/account",
    name="delete_account",
    tags=["account"],
    status_code=200,
    guards=[Requires(Scope.MANAGE)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def delete_account(
    principal: Given[Principal],
    membership: Given[Membership],
    settings: Given[Settings],
    account_changes: Given[AccountChanges],
    database: Given[Database],
    give_up_msat: Annotated[
        int, QueryParameter(ge=0, le=MAX_MSAT, description="What may be left in the wallet, and is given up.")
    ] = 0,
) -> Response[Deleted]:
    """Remove the account for good, unless it has obligations. A session needs a recent password."""
    if give_up_msat:
        what = "give up what is in the wallet"
        await database.read(partial(check_unbound, credential_id=principal.credential_id, what=what))
    await membership.delete(principal.account_id, give_up_msat=give_up_msat)
    account_changes.publish(principal.account_id)
    return Response(Deleted(), cookies=logout_cookies(settings))


ROUTES = [register, login, logout, log_out_elsewhere, get_account, change_password, delete_account]


def account_info(account: Account) -> AccountInfo:
    """An account as everybody may see their own."""
    return AccountInfo(account.id, account.name, account.created_at // 1_000_000, account.admin_since is not None)


def _entered(entered: Entered, settings: Settings, account_changes: AccountChanges) -> Response[AccountInfo]:
    if entered.left is not None:
        account_changes.publish(entered.left)
    return Response(account_info(entered.account), cookies=login_cookies(entered, settings))


def _client(request: JsonRequest) -> str | None:
    return request.client.host if request.client else None


def _token(request: JsonRequest) -> str | None:
    return session_token(cookies_of(request))
