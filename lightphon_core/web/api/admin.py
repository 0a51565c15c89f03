"""/api/admin: everybody's accounts, for administrators."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from lightphon_core.accounts.credentials import list_credentials
from lightphon_core.accounts.directory import block_account, existing_account, search_accounts, unblock_account
from lightphon_core.accounts.invites import create_invite
from lightphon_core.accounts.passwords import Passwords, check_password
from lightphon_core.accounts.people import Account, create_account
from lightphon_core.host import AccountChanges
from lightphon_core.ledger.statement import wallet_of
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.types import Scope
from lightphon_core.web.api.account import AccountInfo, account_info
from lightphon_core.web.api.body import Body
from lightphon_core.web.api.dependencies import Given, Note
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.terms import CredentialInfo, credential_infos
from lightphon_core.web.api.usage import Usage, span, used_by
from lightphon_core.web.api.wallet import Balance, balance_of
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals

MOST_ACCOUNTS = 200
DAY_S = 86_400

Id = Annotated[str, PathParameter(pattern="^acc_[A-Za-z0-9]{16}$", description="As it was made: acc_...")]
_NAME_PART = "^[A-Za-z0-9._@+-]{0,64}$"


class AccountDetails(AccountInfo, frozen=True):
    """`blocked_at` is null for one that is not blocked."""

    blocked_at: int | None


class AccountPage(msgspec.Struct, frozen=True):
    """By name; `next` is the `after` of the next page, null on the last one."""

    data: list[AccountDetails]
    next: str | None


class AccountFile(msgspec.Struct, frozen=True):
    """All there is about an account. `usage` is that of the last 30 days."""

    account: AccountDetails
    wallet: Balance
    credentials: list[CredentialInfo]
    usage: Usage


class NewAccount(Body):
    """Without a password nobody can log in to it."""

    name: str
    password: str | None = None


class NewInvite(Body):
    """How many days it is good for."""

    days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 7


class Invite(msgspec.Struct, frozen=True):
    """The only answer that has the code. It lets one person register until `expires_at`."""

    invite: str
    expires_at: int


class Administration(Controller):
    """Reading needs `admin`; changing needs `manage` too."""

    path = "/admin"
    tags = ("administration",)
    guards = (Requires(Scope.ADMIN),)
    security = SESSION_OR_KEY

    @get("/accounts", responses=refusals(*GUARDED))
    async def list_accounts(
        self,
        database: Given[Database],
        search: Annotated[str, QueryParameter(pattern=_NAME_PART, description="A part of the name.")] = "",
        after: Annotated[str, QueryParameter(pattern=_NAME_PART, description="Only names behind this one.")] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=MOST_ACCOUNTS, description="Accounts on a page.")] = 50,
    ) -> AccountPage:
        """Accounts, by name."""
        return await database.read(partial(account_page, search=search, after=after, limit=limit))

    @get("/accounts/{account_id:str}", responses=refusals(*GUARDED, 404))
    async def get_account(self, account_id: Id, database: Given[Database], gateway: Given[Gateway]) -> AccountFile:
        """One account: its wallet, its keys without their secrets, its usage by day."""
        return await database.read(partial(account_file, account_id=account_id, now=gateway.clock.now()))

    @post("/accounts", guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY))
    async def create_account(
        self,
        data: JSONBody[NewAccount],
        database: Given[Database],
        gateway: Given[Gateway],
        passwords: Given[Passwords],
        note: Given[Note],
    ) -> AccountDetails:
        """A new account."""
        hashed = None
        if data.password is not None:
            check_password(data.password)
            hashed = await passwords.hash(data.password)
        create = partial(create_account, name=data.name, now=gateway.clock.now(), password_hash=hashed)
        created = await database.write(create)
        note(account=created.id)
        return _details(created)

    @post(
        "/accounts/{account_id:str}/block",
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, 404),
    )
    async def block_account(
        self,
        account_id: Id,
        database: Given[Database],
        gateway: Given[Gateway],
        account_changes: Given[AccountChanges],
        note: Given[Note],
    ) -> AccountDetails:
        """No log-in, and none of its keys and tokens work. The last administrator cannot be blocked."""
        note(account=account_id)
        blocked = await database.write(partial(block_account, account_id=account_id, now=gateway.clock.now()))
        account_changes.publish(account_id)
        return _details(blocked)

    @post(
        "/accounts/{account_id:str}/unblock",
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, 404),
    )
    async def unblock_account(self, account_id: Id, database: Given[Database], note: Given[Note]) -> AccountDetails:
        """Let the account in again."""
        note(account=account_id)
        return _details(await database.write(partial(unblock_account, account_id=account_id)))

    @post("/invites", guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY))
    async def create_invite(
        self, data: JSONBody[NewInvite], database: Given[Database], gateway: Given[Gateway]
    ) -> Invite:
        """A new invitation."""
        now, lifetime_s = gateway.clock.now(), data.days * DAY_S
        return Invite(
            await database.write(partial(create_invite, now=now, lifetime_s=lifetime_s)), int(now) + lifetime_s
        )


def account_page(connection: Connection, *, search: str, after: str, limit: int) -> AccountPage:
    """Up to `limit` accounts, as `search_accounts` has them."""
    found = search_accounts(connection, search=search, after=after, limit=limit + 1)
    page = [_details(each) for each in found[:limit]]
    return AccountPage(page, page[-1].name if len(found) > limit else None)


def account_file(connection: Connection, account_id: str, *, now: float) -> AccountFile:
    """All there is about an account; `now` is in seconds since 1970. Raises `NotFound`."""
    account = existing_account(connection, account_id)
    found = list_credentials(connection, account_id=account.id, revoked=False)
    first, last = span(None, None, today=datetime.fromtimestamp(now, UTC).date())
    return AccountFile(
        _details(account),
        balance_of(wallet_of(connection, account.id)),
        credential_infos(connection, found),
        used_by(connection, account.id, first=first, last=last, by=frozenset({"day"})),
    )


def _details(account: Account) -> AccountDetails:
    blocked_at = None if account.blocked_at is None else account.blocked_at // 1_000_000
    info = account_info(account)
    return AccountDetails(info.id, info.name, info.created_at, info.is_admin, blocked_at)
