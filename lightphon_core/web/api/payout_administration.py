"""/api/admin/payouts: everybody's, for administrators."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.params import JSONBody, QueryParameter

from lightphon_core.accounts.directory import existing_account
from lightphon_core.accounts.people import find_account
from lightphon_core.payments.payouts.administration import PayoutAdministration
from lightphon_core.payments.payouts.freezes import Freeze
from lightphon_core.payments.payouts.payout import LONGEST_REASON, Payout, PayoutState
from lightphon_core.payments.payouts.reconciliation import Adoption
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.types import Outgoing, Scope
from lightphon_core.web.api.body import Body
from lightphon_core.web.api.dependencies import Given, Note
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.payouts import Before, Limit, PayoutId, PayoutInfo, payout_info
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals

_Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_REASON)]
_Ref = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Whose = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[!-~]+$")]


class Rejection(Body):
    """`reason` is shown to whoever asked for the payout."""

    reason: _Reason


class NewFreeze(Body):
    """`provider` may be left out where there is one."""

    provider: str | None = None
    reason: _Reason = "An administrator froze payouts."


class Explanations(Body):
    """`adopt` says whose payments are that the books lack: by ref, an account's id or name, or the id of a payout that
    the books have as not sent. `ours` are those that no payout made: the operator's own."""

    provider: str | None = None
    adopt: Annotated[dict[_Ref, _Whose], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=dict)
    ours: Annotated[list[_Ref], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=list)


class AccountPayout(PayoutInfo, frozen=True):
    """A payout, and whose it is."""

    account_id: str


class FreezeInfo(msgspec.Struct, frozen=True):
    """A provider through which nothing is paid out for now."""

    provider: str
    since: int
    reason: str


class AllPayouts(msgspec.Struct, frozen=True):
    """The latest first, and the freezes that there are; `next` as everywhere."""

    data: list[AccountPayout]
    freezes: list[FreezeInfo]
    next: str | None


class UnexplainedPayment(msgspec.Struct, frozen=True):
    """A payment that the wallet has sent, and the books lack."""

    ref: str
    amount_msat: int
    at: int


class ReconciledInfo(msgspec.Struct, frozen=True):
    """`restored` are in the books again. `freeze` is null as soon as no payment is unexplained."""

    restored: list[AccountPayout]
    unexplained: list[UnexplainedPayment]
    freeze: FreezeInfo | None


class PayoutAdministrationRoutes(Controller):
    """Reading needs `admin`; changing needs `manage` too."""

    path = "/admin/payouts"
    tags = ("administration",)
    guards = (Requires(Scope.ADMIN),)
    security = SESSION_OR_KEY

    @get(responses=refusals(*GUARDED, 404))
    async def list_payouts(
        self,
        payouts: Given[Payouts],
        payout_administration: Given[PayoutAdministration],
        status: Annotated[PayoutState | None, QueryParameter(description="Only payouts of this status.")] = None,
        limit: Limit = 50,
        before: Before = None,
    ) -> AllPayouts:
        """Everybody's payouts."""
        found = await payouts.list(state=status, limit=limit + 1, before=before)
        freezes = await payout_administration.freezes()
        return AllPayouts(
            [account_payout(each) for each in found[:limit]],
            [freeze_info(each) for each in freezes],
            found[limit - 1].id if len(found) > limit else None,
        )

    @post(
        "/{payout_id:str}/approve",
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, 404),
    )
    async def approve_payout(
        self, payout_id: PayoutId, payout_administration: Given[PayoutAdministration], note: Given[Note]
    ) -> AccountPayout:
        """Let one be paid that awaits approval."""
        note(payout=payout_id)
        return account_payout(await payout_administration.approve(payout_id))

    @post(
        "/{payout_id:str}/reject",
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, *TAKES_BODY, 404),
    )
    async def reject_payout(
        self,
        payout_id: PayoutId,
        data: JSONBody[Rejection],
        payout_administration: Given[PayoutAdministration],
        note: Given[Note],
    ) -> AccountPayout:
        """Give the money of one back that was not sent yet."""
        note(payout=payout_id)
        return account_payout(await payout_administration.reject(payout_id, data.reason))

    @post(
        "/{payout_id:str}/declare-failed",
        status_code=200,
        guards=[Requires(Scope.MANAGE)],
        responses=refusals(*GUARDED, 404),
    )
    async def declare_payout_failed(
        self, payout_id: PayoutId, payout_administration: Given[PayoutAdministration], note: Given[Note]
    ) -> AccountPayout:
        """Give the money of one back that the wallet does not know, an hour after its invoice has expired."""
        note(payout=payout_id)
        return account_payout(await payout_administration.declare_failed(payout_id))

    @post("/freeze", status_code=200, guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY))
    async def freeze_payouts(
        self, data: JSONBody[NewFreeze], payout_administration: Given[PayoutAdministration]
    ) -> FreezeInfo:
        """Pay nothing out until payouts are reconciled. They can be asked for, and wait."""
        return freeze_info(await payout_administration.freeze(data.provider, data.reason))

    @post(
        "/reconcile", status_code=200, guards=[Requires(Scope.MANAGE)], responses=refusals(*GUARDED, *TAKES_BODY, 404)
    )
    async def reconcile_payouts(
        self,
        data: JSONBody[Explanations],
        payout_administration: Given[PayoutAdministration],
        database: Given[Database],
    ) -> ReconciledInfo:
        """Compare the books with the wallet, and pay out again once no payment is unexplained."""
        adopt = await database.read(partial(_adoptions, adopt=data.adopt))
        found = await payout_administration.reconcile(data.provider, adopt, data.ours)
        return ReconciledInfo(
            [account_payout(each) for each in found.restored],
            [_unexplained(each) for each in found.unexplained],
            None if found.freeze is None else freeze_info(found.freeze),
        )


def _adoptions(connection: Connection, adopt: dict[str, str]) -> dict[str, Adoption]:
    return {ref: _adoption(connection, whose) for ref, whose in adopt.items()}


def _adoption(connection: Connection, whose: str) -> Adoption:
    if whose.startswith("pay_"):
        return Adoption(payout=whose)
    account = find_account(connection, whose) or existing_account(connection, whose)
    return Adoption(account=account.id)


def account_payout(payout: Payout) -> AccountPayout:
    """A payout as JSON has it."""
    return AccountPayout(**msgspec.structs.asdict(payout_info(payout)), account_id=payout.account)


def freeze_info(freeze: Freeze) -> FreezeInfo:
    """A freeze as JSON has it."""
    return FreezeInfo(freeze.provider, freeze.since // 1_000_000, freeze.reason)


def _unexplained(outgoing: Outgoing) -> UnexplainedPayment:
    return UnexplainedPayment(outgoing.ref, outgoing.amount, int(outgoing.at))
