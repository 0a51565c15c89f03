"""/api/admin/accounts/{id}/credit and debit: money given and taken back by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec
from attrs import evolve
from litestar import Controller, post
from litestar.params import HeaderParameter, JSONBody

from lightphon_core.accounts.directory import existing_account
from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.adjustment import LONGEST_REASON
from lightphon_core.ledger.commands import LedgerError, Overdrawn, Post
from lightphon_core.ledger.statement import wallet_of
from lightphon_core.money import MAX_MSAT
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.types import Principal, Scope
from lightphon_core.web.api.admin import Id
from lightphon_core.web.api.body import Body
from lightphon_core.web.api.dependencies import Given, Note
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals


class Adjustment(Body):
    """`reason` stands in the journal for good, and its owner can read it."""

    amount_msat: Annotated[int, msgspec.Meta(ge=1, le=MAX_MSAT)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_REASON)]


class Adjusted(msgspec.Struct, frozen=True):
    """The entry, and whether an earlier request of the same Idempotency-Key had written it; what is available now."""

    entry: str
    repeated: bool
    available_msat: int


IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="idempotency-key",
        pattern="^[!-~]{1,200}$",
        description="A request that is sent again with the same key changes nothing more.",
    ),
]


class Adjustments(Controller):
    """For administrators' credentials that may change things."""

    path = "/admin/accounts/{account_id:str}"
    tags = ("administration",)
    guards = (Requires(Scope.ADMIN), Requires(Scope.MANAGE))
    security = SESSION_OR_KEY

    @post(
        "/credit",
        status_code=200,
        responses=refusals(*GUARDED, *TAKES_BODY, 404),
    )
    async def credit_account(
        self,
        account_id: Id,
        data: JSONBody[Adjustment],
        principal: Given[Principal],
        database: Given[Database],
        gateway: Given[Gateway],
        note: Given[Note],
        idempotency_key: IdempotencyKey = None,
    ) -> Adjusted:
        """Give the account money to spend."""
        note(account=account_id)
        return await _adjust(adjustment.credit, account_id, data, principal, idempotency_key, database, gateway)

    @post(
        "/debit",
        status_code=200,
        responses=refusals(*GUARDED, *TAKES_BODY, 404),
    )
    async def debit_account(
        self,
        account_id: Id,
        data: JSONBody[Adjustment],
        principal: Given[Principal],
        database: Given[Database],
        gateway: Given[Gateway],
        note: Given[Note],
        idempotency_key: IdempotencyKey = None,
    ) -> Adjusted:
        """Take money back that was given so."""
        note(account=account_id)
        return await _adjust(adjustment.debit, account_id, data, principal, idempotency_key, database, gateway)


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
