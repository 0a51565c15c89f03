"""Has a provider pay one payout, once, and finds out what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from lightphon_core.errors import InvalidRequest, LightPhonError, NotSent, ProviderUnavailable
from lightphon_core.host import Clock
from lightphon_core.payments.deposits.deposit import Deposit
from lightphon_core.payments.payouts import store
from lightphon_core.payments.payouts.ending import claim, end
from lightphon_core.payments.payouts.payout import NOT_SENT, Payout, PayoutState, check_resolved
from lightphon_core.payments.payouts.sent_log import Sent, SentLog
from lightphon_core.ports import PayoutProvider
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import microseconds
from lightphon_core.types import Address, Failed, InFlight, Invoice, Paid, Payment, PaymentState

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

RESOLVING_TIMEOUT_S = 30.0
PAYING_TIMEOUT_S = 60.0
LOOKUP_TIMEOUT_S = 30.0


class Submission:
    """For the providers of one application. `settled_inside` is called with each deposit that a payout has settled."""

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, PayoutProvider],
        sent_log: SentLog,
        clock: Clock,
        log: BoundLogger,
        settled_inside: Callable[[Deposit], object],
    ) -> None:
        self._database = database
        self._providers = providers
        self._sent_log = sent_log
        self._clock = clock
        self._log = log
        self._settled_inside = settled_inside

    async def submit(self, payout: Payout) -> None:
        """Have a payout that is held paid. Of several servers that try, one does.

        Raises:
            StorageUnavailable: the database does not answer. A payment may have left; the row says so then.
        """
        provider = self._providers[payout.provider]
        resolved = None
        if payout.ref is None:
            try:
                resolved = await self._resolve(provider, payout)
            except LightPhonError as error:
                await self._end(payout, Failed(error.message), NOT_SENT)
                return
        claimed = await self._database.write(
            partial(claim, payout_id=payout.id, resolved=resolved, now=microseconds(self._clock.now()))
        )
        if claimed.deposit is not None:
            self._settled_inside(claimed.deposit)
        if claimed.payout is None:
            return
        # From here on the row says that the wallet may have been asked. The log says so too before it is, so a crash
        # in between leaves a payout that is looked up, and never a payment that only the wallet knows.
        state = await self._pay(provider, claimed.payout)
        await self.record(claimed.payout, state)

    async def look(self, payout: Payout) -> PaymentState:
        """Ask the provider how a payout that was submitted stands, and write down what has come of it.

        Raises:
            ProviderUnavailable: the provider does not answer.
            StorageUnavailable: the database does not answer.
        """
        assert payout.ref is not None, "what was submitted has a ref"
        state = await self._ask_about(self._providers[payout.provider], payout.ref)
        await self.record(payout, state)
        return state

    async def record(self, payout: Payout, state: PaymentState) -> None:
        """Write down how a payout that was submitted stands."""
        if isinstance(state, (Paid, Failed)):
            await self._end(payout, state)
        elif payout.state is PayoutState.SUBMITTED:
            doubt = partial(
                store.advance, payout=payout, states=(PayoutState.SUBMITTED,), state=PayoutState.UNKNOWN.value
            )
            await self._database.write(doubt)

    async def _end(self, payout: Payout, outcome: Paid | Failed, states: tuple[PayoutState, ...] | None = None) -> None:
        ended = partial(end, payout=payout, outcome=outcome, now=microseconds(self._clock.now()))
        if await self._database.write(ended if states is None else partial(ended, states=states)):
            self._log.info(
                "payout ended",
                payout=payout.id,
                outcome="paid" if isinstance(outcome, Paid) else "failed",
                amount_msat=payout.amount,
            )
            if isinstance(outcome, Paid) and outcome.fee > payout.fee_cap:
                self._log.error(
                    "the wallet paid more for a payout than it was allowed",
                    payout=payout.id,
                    fee_msat=outcome.fee,
                    fee_cap_msat=payout.fee_cap,
                )

    async def _resolve(self, provider: PayoutProvider, payout: Payout) -> Invoice:
        try:
            async with asyncio.timeout(RESOLVING_TIMEOUT_S):
                address = provider.read(payout.destination)
                if not isinstance(address, Address):
                    raise InvalidRequest("The destination is no address any more.")
                invoice = await provider.resolve(address, payout.amount)
        except (InvalidRequest, ProviderUnavailable):
            raise
        except TimeoutError as error:
            raise ProviderUnavailable("The address's server does not answer.") from error
        except Exception as error:
            self._log.error("a fault of the payout plugin", provider=provider.name, exc_info=error)
            raise ProviderUnavailable("The address could not be asked for an invoice.") from error
        check_resolved(invoice, payout.amount, self._clock.now())
        return invoice

    async def _pay(self, provider: PayoutProvider, payout: Payout) -> PaymentState:
        invoice = payout.demand
        try:
            await asyncio.to_thread(self._sent_log.append, Sent.of(payout))
        except OSError as error:
            self._log.error("the log of payouts cannot be written: nothing is paid", error=error.strerror or str(error))
            return Failed("The server could not write down that it is about to pay. Nothing was sent.")
        payment = Payment(payout.id, invoice.ref, invoice.text, payout.amount, payout.fee_cap)
        try:
            async with asyncio.timeout(PAYING_TIMEOUT_S):
                return await provider.pay(payment)
        except NotSent as error:
            return Failed(error.message)
        except ProviderUnavailable as error:
            self._log.warning("nobody knows what came of a payout yet", payout=payout.id, error=error.message)
        except TimeoutError:
            self._log.warning("nobody knows what came of a payout yet", payout=payout.id, error="time-out")
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and may have paid before it did
            self._log.error("a fault of the payout plugin", provider=provider.name, payout=payout.id, exc_info=error)
        return InFlight()

    async def _ask_about(self, provider: PayoutProvider, ref: str) -> PaymentState:
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                return await provider.lookup(ref)
        except ProviderUnavailable:
            raise
        except TimeoutError as error:
            raise ProviderUnavailable("The wallet does not answer in time.") from error
        except Exception as error:
            self._log.error("a fault of the payout plugin", provider=provider.name, exc_info=error)
            raise ProviderUnavailable("The wallet could not be asked.") from error
