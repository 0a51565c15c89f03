"""/wallet/withdrawals: what can be withdrawn, to whom, and what became of it."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from attrs import frozen
from litestar import Response, get
from litestar.params import QueryParameter

from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.payments.payouts.automatic import Automatic, automatic_of
from lightphon_core.payments.payouts.payout import fee_cap_of, most_affordable
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.payments.payouts.withdrawal import left_today, withdrawable
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor
from lightphon_core.web.pages.wallet.payable import is_play_money
from lightphon_core.web.pages.wallet.payout_state import is_under_way, shown

PAYOUTS: Final = 25

Before = Annotated[
    str | None, QueryParameter(pattern="^pay_[0-9a-f]{32}$", description="Only payouts asked for before this one.")
]


@frozen
class Room:
    """What may be withdrawn now, in msat. `there` is what is of the right origin, beside what is `set_aside` for
    answers under way; `left_today` is what the operator's limits leave. `most` is all that can be withdrawn at once, in
    whole sats, for which the network may take up to `fee_cap` besides."""

    there: int
    set_aside: int
    left_today: int
    most: int
    fee_cap: int


@get("/wallet/withdrawals", name="withdrawals")
async def withdrawals(
    request: Asked,
    visitor: Given[Visitor],
    database: Given[Database],
    deposits: Given[Deposits],
    payouts: Given[Payouts],
    before: Before = None,
) -> Response[str]:
    """The page."""
    account = visitor.account.id
    room, automatic = await database.read(partial(_read, account=account, payouts=payouts))
    found = await payouts.list(account=account, limit=PAYOUTS + 1, before=before)
    return page(
        request,
        "wallet/withdrawals.html",
        visitor,
        room=room,
        automatic=automatic,
        settings=payouts.settings,
        there_is_a_way=bool(payouts.providers),
        payouts=[shown(each) for each in found[:PAYOUTS]],
        under_way=any(is_under_way(each) for each in found),
        next=found[PAYOUTS - 1].id if len(found) > PAYOUTS else None,
        before=before,
        play_money=is_play_money(deposits),
    )


def _read(connection: Connection, account: str, payouts: Payouts) -> tuple[Room, Automatic | None]:
    parts, set_aside = withdrawable(connection, account)
    there, settings = sum(parts), payouts.settings
    left = max(0, left_today(connection, account, settings, payouts.now))
    most = fee_cap = 0
    for provider in payouts.providers.values():
        affordable = min(most_affordable(provider, settings, there), left // 1_000 * 1_000)
        if affordable > most:
            most, fee_cap = affordable, fee_cap_of(provider, settings, affordable)
    return Room(there, set_aside, left, most, fee_cap), automatic_of(connection, account)
