"""/api/payouts: money that people withdraw from their wallets."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter

from lightphon_core.ledger.budgets import check_unbound
from lightphon_core.money import MAX_MSAT, MSAT_PER_SAT
from lightphon_core.payments.payouts.automatic import Automatic
from lightphon_core.payments.payouts.payout import Payout, PayoutState
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.storage.engine import Database
from lightphon_core.types import Principal, Scope
from lightphon_core.web.api.adjustments import IdempotencyKey
from lightphon_core.web.api.body import Body
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals

MOST_PAYOUTS = 200
_ID = "^pay_[0-9a-f]{32}$"

PayoutId = Annotated[str, PathParameter(pattern=_ID, description="As it was made: pay_...")]
Before = Annotated[str | None, QueryParameter(pattern=_ID, description="Only payouts asked for before this one.")]
Limit = Annotated[int, QueryParameter(ge=1, le=MOST_PAYOUTS, description="Payouts on a page.")]
_Sats = Annotated[int, msgspec.Meta(ge=1, le=MAX_MSAT // MSAT_PER_SAT)]
_Destination = Annotated[str, msgspec.Meta(min_length=1, max_length=8_000)]


class NewPayout(Body):
    """`destination` is an invoice, or an address, which needs `amount_sats`."""

    destination: _Destination
    amount_sats: _Sats | None = None


class NewAutomaticPayout(Body):
    """`destination` is an address. All that can be withdrawn is paid whenever it is `threshold_sats`."""

    destination: _Destination
    threshold_sats: _Sats


class PayoutInfo(msgspec.Struct, frozen=True):
    """`status` is awaiting_approval, held, submitted, unknown, paid or failed; `reason` says why it failed. Amount and
    fee cap leave the wallet at once; what `fee_msat` leaves of the cap comes back. `amount_sats` is null where the
    amount is not whole sats. `ref` is the payment hash."""

    id: str
    status: PayoutState
    provider: str
    destination: str
    automatic: bool
    amount_sats: int | None
    amount_msat: int
    fee_cap_msat: int
    fee_msat: int | None
    ref: str | None
    reason: str | None
    created_at: int
    submitted_at: int | None
    ended_at: int | None


class PayoutPage(msgspec.Struct, frozen=True):
    """The latest first; `next` is the `before` of the next page, null on the last one."""

    data: list[PayoutInfo]
    next: str | None


class AutomaticPayout(msgspec.Struct, frozen=True):
    """`trouble` says why the last one, asked for at `tried_at`, did not work; it is tried again later."""

    provider: str
    destination: str
    threshold_sats: int
    tried_at: int | None
    trouble: str | None


class PayoutRoutes(Controller):
    """One's own. Reading needs `account`, withdrawing `manage`."""

    path = "/payouts"
    tags = ("payouts",)
    security = SESSION_OR_KEY

    @post(guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY, 402))
    async def create_payout(
        self,
        data: JSONBody[NewPayout],
        principal: Given[Principal],
        payouts: Given[Payouts],
        database: Given[Database],
        idempotency_key: IdempotencyKey = None,
    ) -> PayoutInfo:
        """Withdraw money. It leaves the wallet at once, and is paid in the background."""
        await _require_unbound(database, principal)
        amount = None if data.amount_sats is None else data.amount_sats * MSAT_PER_SAT
        made = await payouts.ask(principal.account_id, data.destination.strip(), amount, key=idempotency_key)
        return payout_info(made)

    @get(guards=[Requires(Scope.ACCOUNT)], responses=refusals(*GUARDED, 404))
    async def list_payouts(
        self, principal: Given[Principal], payouts: Given[Payouts], limit: Limit = 50, before: Before = None
    ) -> PayoutPage:
        """One's payouts."""
        return page_of(await payouts.list(account=principal.account_id, limit=limit + 1, before=before), limit)

    @get("/{payout_id:str}", guards=[Requires(Scope.ACCOUNT)], responses=refusals(*GUARDED, 404))
    async def get_payout(self, payout_id: PayoutId, principal: Given[Principal], payouts: Given[Payouts]) -> PayoutInfo:
        """One of them."""
        return payout_info(await payouts.get(payout_id, account=principal.account_id))

    @get("/automatic", guards=[Requires(Scope.ACCOUNT)], responses=refusals(*GUARDED, 404))
    async def get_automatic_payout(self, principal: Given[Principal], payouts: Given[Payouts]) -> AutomaticPayout:
        """What is paid by itself."""
        return _automatic(await payouts.automatic(principal.account_id))

    @put("/automatic", guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY))
    async def set_automatic_payout(
        self,
        data: JSONBody[NewAutomaticPayout],
        principal: Given[Principal],
        payouts: Given[Payouts],
        database: Given[Database],
    ) -> AutomaticPayout:
        """Have all that can be withdrawn paid by itself, from a threshold on."""
        await _require_unbound(database, principal)
        threshold = data.threshold_sats * MSAT_PER_SAT
        return _automatic(await payouts.set_automatic(principal.account_id, data.destination.strip(), threshold))

    @delete("/automatic", guards=[Requires(Scope.MANAGE)], status_code=200, responses=refusals(*GUARDED, 404))
    async def remove_automatic_payout(self, principal: Given[Principal], payouts: Given[Payouts]) -> AutomaticPayout:
        """Have nothing paid by itself any more."""
        return _automatic(await payouts.remove_automatic(principal.account_id))


def payout_info(payout: Payout) -> PayoutInfo:
    """A payout as its account sees it."""
    whole, rest = divmod(payout.amount, MSAT_PER_SAT)
    return PayoutInfo(
        payout.id,
        payout.state,
        payout.provider,
        payout.destination,
        payout.automatic,
        None if rest else whole,
        payout.amount,
        payout.fee_cap,
        payout.fee,
        payout.ref,
        payout.reason,
        payout.created_at // 1_000_000,
        seconds(payout.submitted_at),
        seconds(payout.ended_at),
    )


def page_of(found: Sequence[Payout], limit: int) -> PayoutPage:
    """A page of `limit` payouts, of which one more was looked for."""
    return PayoutPage(
        [payout_info(each) for each in found[:limit]], found[limit - 1].id if len(found) > limit else None
    )


def seconds(at: int | None) -> int | None:
    """A stored time as JSON has it."""
    return None if at is None else at // 1_000_000


async def _require_unbound(database: Database, principal: Principal) -> None:
    await database.read(partial(check_unbound, credential_id=principal.credential_id, what="withdraw money"))


def _automatic(automatic: Automatic) -> AutomaticPayout:
    return AutomaticPayout(
        automatic.provider,
        automatic.destination,
        automatic.threshold // MSAT_PER_SAT,
        seconds(automatic.tried_at),
        automatic.trouble,
    )
