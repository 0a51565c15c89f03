"""/api/wallet: what an account has, what is on hold, and the entries that made it so."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter

from lightphon_core.ledger.statement import LINES, Line, Wallet, overview
from lightphon_core.money import euros, sats
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.rates.board import RateBoard
from lightphon_core.storage.engine import Database
from lightphon_core.types import Principal, Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, refusals

MOST_LINES = 200


class Entry(msgspec.Struct, frozen=True):
    """An entry as it changed the wallet, by `amount_msat`, positive or negative."""

    id: str
    at: int
    kind: str
    note: str
    amount_msat: int


class Balance(msgspec.Struct, frozen=True):
    """`available` is `available_msat` in sats, as decimal text. What is held is set aside for answers under way. While
    something is owed nothing can be spent or withdrawn; what comes in settles it first."""

    available_msat: int
    available: str
    held_msat: int
    owed_msat: int
    currency: str
    by_origin_msat: dict[str, int]
    pending_earnings_msat: dict[str, int]


class Statement(Balance, frozen=True):
    """The latest entries first; `next` is the `before` of the next page, null on the last one. With `play_money`,
    none of it is worth anything. `approx_eur` is about what `available_msat` is worth in euros, as decimal text: for
    people to read, and not to reckon with. Null where no rate is known."""

    approx_eur: str | None
    play_money: bool
    statement: list[Entry]
    next: str | None


@get(
    "/wallet",
    name="wallet",
    tags=["wallet"],
    guards=[Requires(Scope.INFERENCE, Scope.ACCOUNT)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED, 404),
)
async def get_wallet(
    principal: Given[Principal],
    database: Given[Database],
    deposits: Given[Deposits],
    rates: Given[RateBoard],
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_LINES, description="Entries on a page.")] = LINES,
    before: Annotated[
        str | None, QueryParameter(pattern="^ent_[0-9a-f]{26}$", description="Only entries before this one.")
    ] = None,
) -> Statement:
    """What the account has, and the latest entries of its wallet."""
    look = partial(overview, account=principal.account_id, limit=limit + 1, before=before)
    found, lines = await database.read(look)
    page, more = lines[:limit], len(lines) > limit
    balance = msgspec.structs.asdict(balance_of(found))
    play_money = any(provider.play_money for provider in deposits.providers.values())
    worth = None if play_money else rates.approx(found.available)
    return Statement(
        **balance,
        approx_eur=None if worth is None else euros(worth),
        play_money=play_money,
        statement=[_entry(line) for line in page],
        next=page[-1].id if more else None,
    )


def balance_of(wallet: Wallet) -> Balance:
    """A wallet as JSON has it; origins of which there is nothing are left out."""
    return Balance(
        available_msat=wallet.available,
        available=sats(wallet.available),
        held_msat=wallet.held,
        owed_msat=wallet.owed,
        currency="sat",
        by_origin_msat={str(origin): amount for origin, amount in wallet.by_origin.items() if amount},
        pending_earnings_msat={str(origin): amount for origin, amount in wallet.pending.items() if amount},
    )


def _entry(line: Line) -> Entry:
    return Entry(line.id, line.at // 1_000_000, line.kind, line.note, line.amount)
