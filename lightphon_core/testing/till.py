"""The core's own payouts over a provider, as a running gateway has them; its time goes on when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import structlog
from attrs import frozen

from lightphon_core.money import Amount
from lightphon_core.payments.payout import Payout, PayoutState
from lightphon_core.payments.payout_runner import PayoutRunner
from lightphon_core.payments.payouts import Payouts
from lightphon_core.payments.reconciliation import Reconciliation
from lightphon_core.payments.sent_log import RestoreMark, SentLog
from lightphon_core.payments.submission import Submission
from lightphon_core.ports import PayoutProvider
from lightphon_core.settings import PayoutSettings
from lightphon_core.testing.books import Books, MovedClock
from lightphon_core.testing.promises import until, within
from lightphon_core.testing.sides import Payee

STEP_S = 2.0
"""How far time goes on at each turn: whatever is due in between is done."""
ENDED = (PayoutState.PAID, PayoutState.FAILED)


@frozen
class Till:
    """A gateway's payouts, and whom they pay."""

    payouts: Payouts
    runner: PayoutRunner
    reconciliation: Reconciliation
    provider: PayoutProvider
    payee: Payee
    clock: MovedClock
    account: str

    async def ask(self, destination: str | None = None) -> Payout:
        """Somebody withdraws `payee.amount`: to an invoice, unless told."""
        if destination is not None:
            return await self.payouts.ask(self.account, destination, self.payee.amount)
        return await self.payouts.ask(self.account, await self.payee.invoice(self.payee.amount), None)

    async def turn(self) -> None:
        """What is due is done, to its end."""
        self.clock.ahead += STEP_S
        async with within("a payout is begun, or looked up"):
            await asyncio.gather(*await self.runner.turn())

    async def again(self, payout: Payout) -> Payout:
        """As it is in the books now."""
        return await self.payouts.get(payout.id, account=self.account)

    async def ends(self, payout: Payout, state: PayoutState) -> Payout:
        """It does, soon."""

        async def look() -> Payout:
            await self.turn()
            return await self.again(payout)

        found = await until(look, lambda each: each.state in ENDED, f"a payout ends as {state}")
        assert found.state is state, f"a payout that should end as {state} does not end as {found.state}"
        return found

    async def is_paid(self, payout: Payout) -> int:
        """It is, and has arrived once. What it took from the account."""
        found = await self.ends(payout, PayoutState.PAID)
        assert found.ref is not None, "what was paid has a ref"
        received = await self.payee.received(found.ref)
        assert received == found.amount, f"a payout of {found.amount} msat arrives once, and not as {received}"
        assert found.fee is not None, "what was paid has its fee"
        assert found.fee <= found.fee_cap, f"a payout costs at most {found.fee_cap} msat beside, not {found.fee}"
        return found.amount + found.fee

    async def reconciled(self) -> list[str]:
        """After a restore: everything is found again. The refs of what nobody has explained."""
        await self.turn()
        found = await self.reconciliation.compare(self.provider.name, {}, [])
        await self.reconciliation.lift(self.provider.name)
        return [each.ref for each in found.unexplained]


@asynccontextmanager
async def open_till(books: Books, payee: Payee) -> AsyncGenerator[Till, None]:
    """A gateway over these books, with a new provider."""
    provider, clock = payee.provider(), MovedClock()
    log = structlog.stdlib.get_logger("lightphon.contract")
    with books.database() as database:
        payouts = Payouts(
            database, [provider], PayoutSettings(daily=Amount(10**12), daily_of_all=Amount(10**12)), clock
        )
        sent_log, mark = SentLog(books.folder), RestoreMark(books.folder)
        submission = Submission(database, payouts.providers, sent_log, clock, log, lambda _: None)
        reconciliation = Reconciliation(database, payouts.providers, sent_log, mark, clock)
        runner = PayoutRunner(payouts, submission, reconciliation, log)
        await provider.start()
        try:
            yield Till(payouts, runner, reconciliation, provider, payee, clock, books.account)
        finally:
            async with within("a provider that is stopped stops"):
                await provider.stop()
