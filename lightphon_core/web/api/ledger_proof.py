"""/api/admin/ledger/proof: that the books are right, and what they come to."""

from __future__ import annotations

import msgspec
from litestar import get

from lightphon_core.ledger.proof import Proof
from lightphon_core.ledger.prover import Prover
from lightphon_core.types import Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, refusals

MOST_PROBLEMS = 100


class LedgerTotals(msgspec.Struct, frozen=True):
    """Sums over everybody. What is at payment providers is below 0 in `clearing_msat`, and so is what people owe in
    `receivable_msat`: assets, as the journal writes them. `held_msat` is a part of the wallets."""

    wallets_msat: dict[str, int]
    held_msat: int
    earnings_msat: int
    payouts_msat: int
    house_msat: int
    adjustments_msat: int
    fees_msat: dict[str, int]
    clearing_msat: dict[str, int]
    receivable_msat: int


class LedgerProof(msgspec.Struct, frozen=True):
    """`right`: every balance is the sum of its postings, every hold is accounted for, and assets are liabilities and
    the house's own together. `problems` say what is wrong, the first 100. `entries` are those of the journal."""

    right: bool
    problems: list[str]
    at: int
    entries: int
    open_holds: int
    assets_msat: int
    liabilities_msat: int
    own_msat: int
    totals: LedgerTotals


@get(
    "/admin/ledger/proof",
    name="admin_ledger_proof",
    tags=["administration"],
    guards=[Requires(Scope.ADMIN)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def prove_ledger(prover: Given[Prover]) -> LedgerProof:
    """Goes through the whole journal, on a snapshot. Who asks while it does so shares the answer."""
    return ledger_proof(await prover.prove())


def ledger_proof(proof: Proof) -> LedgerProof:
    """A proof as JSON has it."""
    found = proof.totals
    return LedgerProof(
        right=proof.is_right,
        problems=proof.problems[:MOST_PROBLEMS],
        at=proof.at // 1_000_000,
        entries=proof.entries,
        open_holds=proof.open_holds,
        assets_msat=found.assets,
        liabilities_msat=found.liabilities,
        own_msat=found.own,
        totals=LedgerTotals(
            wallets_msat=dict(found.wallets),
            held_msat=found.held,
            earnings_msat=found.earnings,
            payouts_msat=found.payouts,
            house_msat=found.house,
            adjustments_msat=found.adjustments,
            fees_msat=dict(found.fees),
            clearing_msat=dict(found.clearing),
            receivable_msat=found.receivable,
        ),
    )
