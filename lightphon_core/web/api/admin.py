"""/api/admin: everybody's accounts, for administrators."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
from attrs import evolve
from litestar import Controller, get, post
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from lightphon_core.accounts.credentials import list_credentials
from lightphon_core.accounts.directory import block_account, existing_account, search_accounts, unblock_account
from lightphon_core.accounts.invites import create_invite
from lightphon_core.accounts.passwords import Passwords, check_password
from lightphon_core.accounts.people import Account, create_account
from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.adjustment import LONGEST_REASON
from lightphon_core.ledger.budgets import budgets_of
from lightphon_core.ledger.commands import LedgerError, Overdrawn, Post
from lightphon_core.ledger.statement import wallet_of
from lightphon_core.money import MAX_MSAT
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.types import Principal, Scope
from lightphon_core.web.api.account import AccountInfo, account_info
from lightphon_core.web.api.body import Body
from lightphon_core.web.api.terms import CredentialInfo, credential_info
from lightphon_core.web.api.usage import Usage, span, used_by
from lightphon_core.web.api.wallet import Balance, balance_of
from lightphon_core.web.dependencies import Given
from lightphon_core.web.guards import Requires
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


class Adjustment(Body):
    """`reason` stands in the journal for good, and its owner can read it."""

    amount_msat: Annotated[int, msgspec.Meta(ge=1, le=MAX_MSAT)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_REASON)]


class Adjusted(msgspec.Struct, frozen=True):
    """The entry, and whether an earlier request of the same Idempotency-Key had written it; what is available now."""

    entry: str
    repeated: bool
    available_msat: int


class NewInvite(Body):
    """How many days it is good for."""

    days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 7


class Invite(msgspec.Struct, frozen=True):
    """The only answer that has the code. It lets one person register until `expires_at`."""

    invite: str
    expires_at: int


IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="idempotency-key",
        pattern="^[!-~]{1,200}$",
        description="A request that is sent again with the same key changes nothing more.",
    ),
]


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
        found = await database.read(partial(search_accounts, search=search, after=after, limit=limit + 1))
        page = [_details(each) for each in found[:limit]]
        return AccountPage(page, page[-1].name if len(found) > limit else None)

    @get("/accounts/{account_id:str}", responses=refusals(*GUARDED, 404))
    async def show_account(self, account_id: Id, database: Given[Database], gateway: Given[Gateway]) -> AccountFile:
        """One account: its wallet, its keys without their secrets, its usage by day."""
        first, last = span(None, None, today=datetime.fromtimestamp(gateway.clock.now(), UTC).date())

        def look(connection: Connection) -> AccountFile:
            account = existing_account(connection, account_id)
            found = list_credentials(connection, account_id=account.id, revoked=False)
            budgets = budgets_of(connection, [each.id for each in found])
            return AccountFile(
                _details(account),
                balance_of(wallet_of(connection, account.id)),
                [credential_info(each, budgets) for each in found],
                used_by(connection, account.id, first=first, last=last, by=frozenset({"day"})),
            )

        return await database.read(look)

    @post("/accounts", guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY))
    async def create_account(
        self,
        data: JSONBody[NewAccount],
        database: Given[Database],
        gateway: Given[Gateway],
        passwords: Given[Passwords],
    ) -> AccountDetails:
        """A new account."""
        hashed = None
        if data.password is not None:
            check_password(data.password)
            hashed = await passwords.hash(data.password)
        create = partial(create_account, name=data.name, now=gateway.clock.now(), password_hash=hashed)
        return _details(await database.write(create))

    @post(
        "/accounts/{account_id:str}/block",
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, 404),
    )
    async def block(self, account_id: Id, database: Given[Database], gateway: Given[Gateway]) -> AccountDetails:
        """No log-in, and none of its keys and tokens work. The last administrator cannot be blocked."""
        return _details(await database.write(partial(block_account, account_id=account_id, now=gateway.clock.now())))

    @post(
        "/accounts/{account_id:str}/unblock",
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, 404),
    )
    async def unblock(self, account_id: Id, database: Given[Database]) -> AccountDetails:
        """Let the account in again."""
        return _details(await database.write(partial(unblock_account, account_id=account_id)))

    @post(
        "/accounts/{account_id:str}/credit",
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, *TAKES_BODY, 404),
    )
    async def credit(
        self,
        account_id: Id,
        data: JSONBody[Adjustment],
        principal: Given[Principal],
        database: Given[Database],
        gateway: Given[Gateway],
        idempotency_key: IdempotencyKey = None,
    ) -> Adjusted:
        """Give the account money to spend."""
        return await _adjust(adjustment.credit, account_id, data, principal, idempotency_key, database, gateway)

    @post(
        "/accounts/{account_id:str}/debit",
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, *TAKES_BODY, 404),
    )
    async def debit(
        self,
        account_id: Id,
        data: JSONBody[Adjustment],
        principal: Given[Principal],
        database: Given[Database],
        gateway: Given[Gateway],
        idempotency_key: IdempotencyKey = None,
    ) -> Adjusted:
        """Take money back that was given so."""
        return await _adjust(adjustment.debit, account_id, data, principal, idempotency_key, database, gateway)

    @post("/invites", guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY))
    async def create_invite(
        self, data: JSONBody[NewInvite], database: Given[Database], gateway: Given[Gateway]
    ) -> Invite:
        """A new invitation."""
        now, lifetime_s = gateway.clock.now(), data.days * DAY_S
        return Invite(
            await database.write(partial(create_invite, now=now, lifetime_s=lifetime_s)), int(now) + lifetime_s
        )


def external_id(account_id: str, key: str) -> str:
    """The journal's id for what an Idempotency-Key stands for: of the server's making, and each account's own."""
    return f"adj_{hashlib.sha256(f'{account_id} {key}'.encode()).hexdigest()[:32]}"


async def _adjust(
    make: Callable[[str, int, str], Post],
    account_id: str,
    data: JSONBody[Adjustment],
    principal: Principal,
    key: str | None,
    database: Database,
    gateway: Gateway,
) -> Adjusted:
    await database.read(partial(existing_account, account_id=account_id))
    # Whoever did it stands in the journal; and so one administrator's keys are never another's.
    post = evolve(make(account_id, data.amount_msat, data.reason), source=principal.account_id)
    if key is not None:
        post = evolve(post, external_id=external_id(account_id, key))
    try:
        posted = await gateway.ledger.do(post)
    except Overdrawn:
        raise InvalidRequest(
            "The account has less than that. Only what was granted by hand, and is not spent or on hold, can be taken "
            "back.",
            param="amount_msat",
            code="insufficient_balance",
        ) from None
    except LedgerError as error:
        raise InvalidRequest(error.message, param="amount_msat") from None

    def look(connection: Connection) -> Adjusted:
        if not posted.new and not adjustment.is_same(connection, posted.entry, post):
            raise InvalidRequest(
                "This Idempotency-Key was used for another adjustment of the account. Take a new one.",
                param="idempotency-key",
                code="idempotency_key_reused",
            )
        return Adjusted(posted.entry, not posted.new, wallet_of(connection, account_id).available)

    return await database.read(look)


def _details(account: Account) -> AccountDetails:
    blocked_at = None if account.blocked_at is None else account.blocked_at // 1_000_000
    info = account_info(account)
    return AccountDetails(info.id, info.name, info.created_at, info.is_admin, blocked_at)
