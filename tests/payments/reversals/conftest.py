"""Deposits by card and a ledger, on each kind of database. The books are proved after every step."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from attrs import define, field
from sqlalchemy import Connection, select

from lightphon_core.ledger import audit, chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.collection import collect
from lightphon_core.ledger.commands import Capture, Command, Post, Posting, TakeHold
from lightphon_core.ledger.maturity import mature
from lightphon_core.ledger.store import carry_out
from lightphon_core.payments.deposits import store
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.payments.deposits.record import Recorded, record
from lightphon_core.payments.payouts.payout import Payout
from lightphon_core.payments.payouts.withdrawal import Wish, ask
from lightphon_core.settings import LedgerSettings, PayoutSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import accounts, balances, entries
from lightphon_core.types import Change, Event, Fiat, Invoice, Opened, PriceSettled, Reversal

WINDOW_S = 90 * 86_400
DELAYS = LedgerSettings(earnings_delay_s=0, card_earnings_delay_s=WINDOW_S)
PRICE = Fiat("EUR", 1_000)
CREDIT = 100_000

_names = count()


@define
class Shop:
    """Deposits by card, and a ledger whose clock goes on by a second with whatever happens."""

    database: Database
    now: int = 1_800_000_000_000_000
    deposits: list[Deposit] = field(factory=list)

    def clock(self, _: Connection) -> int:
        return self.now

    def transact(self, work: Callable[[Connection], Any]) -> Any:
        """Do it, and prove the books."""
        self.now += 1_000_000
        with self.database.transaction() as connection:
            done = work(connection)
        with self.database.snapshot() as connection:
            assert audit.verify(connection) == []
            for deposit in self.deposits:
                found = store.get_deposit(connection, deposit.id)
                assert 0 <= found.clawed_back <= (found.received or 0) <= CREDIT
                assert (found.status is Status.REVERSED) == (found.clawed_back == found.received == CREDIT)
        return done

    def person(self) -> str:
        """Somebody new."""
        name = f"acc_{next(_names):016x}"
        row = {"id": name, "name": name, "created_at": self.now}
        self.transact(lambda connection: connection.execute(accounts.insert().values(row)))
        return name

    def open(self, account: str) -> Deposit:
        """A deposit that can be paid."""
        ref = f"cs_{next(_names)}"
        made = Deposit(
            f"dep_{ref}",
            account,
            "card",
            Status.CREATING,
            CREDIT,
            None,
            None,
            {},
            0,
            10**18,
            None,
            PRICE,
            Decimal(50_000),
        )

        def add(connection: Connection) -> Deposit:
            store.add_deposit(connection, made)
            return store.mark_open(connection, made.id, Opened(ref, 10.0**12, {"checkout_url": "x"}), 10**18)

        self.deposits.append(made)
        return self.transact(add)

    def hear(self, change: Change) -> Recorded:
        """The provider says so."""
        return self.transact(
            lambda connection: record(
                connection, "card", Origin.CARD, Event(change, None), dispute_window_s=WINDOW_S, clock=self.clock
            )
        )

    def pay(self, deposit: Deposit) -> Recorded:
        return self.hear(PriceSettled(deposit.ref, PRICE))

    def take(self, deposit: Deposit, name: str, cents: int = PRICE.cents, *, returned: bool = False) -> Recorded:
        """A refund or dispute of this deposit takes so much back, or has come to nothing."""
        return self.hear(Reversal(deposit.ref, f"{name}_{deposit.ref}", Fiat("EUR", cents), returned))

    def give(self, account: str, amount: int, origin: Origin) -> None:
        posting = Posting("clearing:lightning", chart.wallet(account, origin), amount)
        self.do(Post("deposit", "test", f"given_{next(_names)}", (posting,)))

    def do(self, command: Command) -> Any:
        (answer,) = self.transact(lambda connection: carry_out(connection, [command], clock=self.clock))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def hold(self, account: str, amount: int, payee: str | None, *, bps: int = 1_000) -> str:
        hold = f"job_{next(_names)}"
        self.do(TakeHold(hold, account, amount, amount, payee, bps, 10**15))
        return hold

    def spend(self, account: str, amount: int, payee: str | None, *, bps: int = 1_000) -> None:
        self.do(Capture(self.hold(account, amount, payee, bps=bps), amount))

    def sweep(self) -> int:
        return self.transact(lambda connection: collect(connection, DELAYS, clock=self.clock))

    def mature(self) -> int:
        return self.transact(lambda connection: mature(connection, DELAYS, clock=self.clock))

    def withdraw(self, account: str, amount: int) -> Payout:
        """Ask for a payout."""
        ref = f"{next(_names):064x}"
        wish = Wish(f"pay_{ref}", account, "lightning", ref, Invoice(ref, ref, amount, 10.0**12), amount, 0)
        return self.transact(lambda connection: ask(connection, wish, PayoutSettings(least=1), self.now))

    def deposit(self, deposit: Deposit) -> Deposit:
        with self.database.snapshot() as connection:
            return store.get_deposit(connection, deposit.id)

    def books(self, **people: str) -> dict[str, int]:
        """What is not 0 of the accounts of these people, by their names here."""
        ids = {account: name for name, account in people.items()}
        with self.database.snapshot() as connection:
            rows = connection.execute(select(balances.c.account, balances.c.amount).where(balances.c.amount != 0)).all()
        parts = {row.account: row.account.split(":") for row in rows}
        return {
            ":".join(ids.get(each, each) for each in parts[row.account]): row.amount
            for row in rows
            if parts[row.account][1:] and parts[row.account][1] in ids
        }

    def balance(self, name: str) -> int:
        """Of an account of the ledger."""
        with self.database.snapshot() as connection:
            return connection.scalar(select(balances.c.amount).where(balances.c.account == name)) or 0

    def kinds(self, deposit: Deposit) -> list[tuple[str, str]]:
        """The entries of a deposit."""
        with self.database.snapshot() as connection:
            query = select(entries.c.kind, entries.c.external_id).where(entries.c.note == deposit.id)
            return sorted((row.kind, row.external_id) for row in connection.execute(query.order_by(entries.c.at)))


@pytest.fixture
def shop(database: Database) -> Shop:
    return Shop(database)
