"""What the books prove: that each balance is the sum of its postings, and that what is there is what is owed."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen
from sqlalchemy import Connection, func, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.audit import verify
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.schema import balances, entries, holds


@frozen
class Totals:
    """The balances of all accounts of the ledger, summed up by what they are for, in msat, with the signs of the
    journal: what is owed to people is above 0, what lies at a payment provider or is owed by people below.

    `wallets` are by origin, `clearing` by provider, `fees` by kind; `held` of the wallets is set aside for answers
    under way. `other` are accounts of no known kind: there are none.
    """

    wallets: Mapping[str, int] = field(factory=dict)
    held: int = 0
    earnings: int = 0
    payouts: int = 0
    house: int = 0
    adjustments: int = 0
    receivable: int = 0
    clearing: Mapping[str, int] = field(factory=dict)
    fees: Mapping[str, int] = field(factory=dict)
    other: int = 0

    @property
    def assets(self) -> int:
        """What there is: the money at payment providers, and what people owe."""
        return -sum(self.clearing.values()) - self.receivable

    @property
    def liabilities(self) -> int:
        """What people are owed: wallets, earnings that are not theirs yet, payouts under way."""
        return sum(self.wallets.values()) + self.earnings + self.payouts

    @property
    def own(self) -> int:
        """What is the house's own: its share, less what it gave by hand, and fees."""
        return self.house + self.adjustments + sum(self.fees.values()) + self.other

    @property
    def is_balanced(self) -> bool:
        """Whether what there is, is what is owed and the house's own, to the millisatoshi."""
        return self.assets == self.liabilities + self.own


@frozen
class Proof:
    """What one snapshot of the database proves. `at` is in microseconds since 1970; `problems` as `audit.verify` has
    them; `entries` are those of the journal, `open_holds` the answers under way."""

    at: int
    problems: list[str]
    totals: Totals
    entries: int
    open_holds: int

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong with the books."""
        return not self.problems and self.totals.is_balanced


def prove(connection: Connection) -> Proof:
    """Go through the whole journal. `connection` sees one snapshot; it takes as long as the journal is."""
    return Proof(
        at=database_now(connection),
        problems=verify(connection),
        totals=totals(connection),
        entries=connection.execute(select(func.count()).select_from(entries)).scalar_one(),
        open_holds=open_holds(connection),
    )


def open_holds(connection: Connection) -> int:
    """Answers under way that money is set aside for, of all gateways on this database."""
    return connection.execute(select(func.count()).select_from(holds)).scalar_one()


def totals(connection: Connection) -> Totals:
    """The balances as they are kept, summed up. Exact at any size: Python does the sums."""
    sums: dict[str, dict[str, int]] = {}
    held = 0
    for row in connection.execute(select(balances)):
        kind, _, rest = row.account.partition(":")
        name = rest.rpartition(":")[2] if kind in _SHOWN_BY_NAME else ""
        of_kind = sums.setdefault(kind, {})
        of_kind[name] = of_kind.get(name, 0) + row.amount
        held += row.held
    all_of = {kind: sum(of_kind.values()) for kind, of_kind in sums.items()}
    known = {*_KINDS, chart.HOUSE, chart.ADJUSTMENTS}
    return Totals(
        wallets=sums.get("wallet", {}),
        held=held,
        earnings=all_of.get("earnings", 0),
        payouts=all_of.get("payout", 0),
        house=all_of.get(chart.HOUSE, 0),
        adjustments=all_of.get(chart.ADJUSTMENTS, 0),
        receivable=all_of.get("receivable", 0),
        clearing=sums.get("clearing", {}),
        fees=sums.get("fees", {}),
        other=sum(amount for kind, amount in all_of.items() if kind not in known),
    )


_SHOWN_BY_NAME = ("wallet", "clearing", "fees")
"""By the last part of it: of wallets, that is the origin."""
_KINDS = (*_SHOWN_BY_NAME, "earnings", "payout", "receivable")
