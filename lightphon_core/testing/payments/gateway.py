"""The core's own deposits over a provider, as a running gateway has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal

import structlog
from attrs import frozen

from lightphon_core.errors import InvalidRequest, NotFound, ProviderUnavailable
from lightphon_core.money import Amount, Cents
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.payments.deposits.watch import Watch, watches
from lightphon_core.ports import PaymentProvider
from lightphon_core.rates.quotes import MSAT_PER_BITCOIN, Quote
from lightphon_core.settings import DepositSettings
from lightphon_core.testing.books import Books, MovedClock
from lightphon_core.testing.payments.steps import EXPIRY_S, price_of
from lightphon_core.testing.promises import answer, until, within
from lightphon_core.testing.sides import MSAT_PER_CENT, Payer
from lightphon_core.types import Fiat, Opened

NUDGE_S = 0.2
"""How often a deposit that is waited for is asked about, as when somebody looks at it."""
_RATE = Decimal(MSAT_PER_BITCOIN) / (100 * MSAT_PER_CENT)


@frozen
class Gateway:
    """A running gateway's deposits: it listens where the provider pushes, and asks."""

    deposits: Deposits
    provider: PaymentProvider
    watch: Watch
    clock: MovedClock
    account: str

    async def open(self, amount: int) -> tuple[Deposit, Opened]:
        """A deposit as its payer gets it."""
        made = await self.try_to_open(amount)
        assert not isinstance(made, ProviderUnavailable), f"a wallet that is there opens deposits: {made!r}"
        return made

    async def try_to_open(self, amount: int) -> tuple[Deposit, Opened] | ProviderUnavailable:
        """The same, from a wallet that need not be there."""
        asked = price_of(self.provider, amount) or amount
        deposit = await answer(
            self.deposits.open(self.account, None, asked), "a deposit is opened", ProviderUnavailable
        )
        if isinstance(deposit, Deposit):
            assert deposit.ref is not None, "a deposit that was opened has a ref"
            return deposit, Opened(deposit.ref, deposit.expires_at / 1_000_000, deposit.pay)
        assert isinstance(deposit, ProviderUnavailable)
        return deposit

    async def called(self, headers: Mapping[str, str], body: bytes) -> None:
        """Somebody calls the webhook."""
        work = self.deposits.webhook(self.provider.name, headers, body)
        await answer(work, f"a webhook with {body[:20]!r}", NotFound, InvalidRequest)

    async def status(self, deposit: Deposit) -> Deposit:
        """How it stands in the books."""
        return await self.deposits.get(self.account, deposit.id)

    async def becomes(self, deposit: Deposit, status: Status, promise: str) -> Deposit:
        """It does, soon, while somebody looks at it."""
        return await self._watched(deposit, lambda found: found.status is status, promise)

    async def is_settled(self, deposit: Deposit, received: int) -> None:
        """It is, with what came."""
        found = await self.becomes(deposit, Status.SETTLED, "a deposit that was paid is credited")
        assert found.received == received, f"what came is credited, {received} msat, and not {found.received}"

    async def is_left_alone(self, deposit: Deposit) -> None:
        """Asked about once more, it is not settled."""
        self.watch.look_soon(deposit)
        await self.watch.look()
        found = await self.status(deposit)
        assert found.status is not Status.SETTLED, "what was not paid is not credited"

    async def _watched(self, deposit: Deposit, good: Callable[[Deposit], bool], promise: str) -> Deposit:
        async def nudge() -> None:
            while True:
                self.watch.look_soon(await self.status(deposit))
                await asyncio.sleep(NUDGE_S)

        nudging = asyncio.create_task(nudge())
        try:
            found = await until(lambda: self.status(deposit), lambda found: good(found) or _is_final(found), promise)
        finally:
            nudging.cancel()
            await asyncio.wait({nudging})
        assert good(found), f"{promise}; it is {found.status}"
        return found


def _is_final(deposit: Deposit) -> bool:
    return deposit.status in (Status.SETTLED, Status.FAILED)


def _quote(price: Fiat) -> Quote:
    return Quote(price.cents * MSAT_PER_CENT, _RATE)


@asynccontextmanager
async def running(books: Books, payer: Payer) -> AsyncGenerator[Gateway, None]:
    """A gateway over these books, with a new provider; it ends as one that is stopped."""
    provider, clock = payer.provider(), MovedClock()
    settings = DepositSettings(
        least=Amount(1),
        most=Amount(payer.most),
        least_eur=Cents(1),
        most_eur=Cents(payer.most // MSAT_PER_CENT),
        expiry_s=EXPIRY_S,
    )
    log = structlog.stdlib.get_logger("lightphon.contract")
    with books.database() as database:
        deposits = Deposits(database, [provider], settings, clock, log, quote=_quote)
        (watch,) = watches(deposits)
        await provider.start()
        work = [asyncio.create_task(watch.keep())]
        if watch.pushes:
            work.append(asyncio.create_task(watch.listen()))
        try:
            yield Gateway(deposits, provider, watch, clock, books.account)
        finally:
            for task in work:
                task.cancel()
            async with within("a gateway that is stopped stops, whatever the provider does"):
                await asyncio.wait(work)
            await provider.stop()
