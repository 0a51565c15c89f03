"""Deposits as the rest of the gateway uses them: opened, shown, and credited by whatever says first that they were
paid."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from lightphon_core.errors import (
    InvalidRequest,
    LightPhonError,
    NotFound,
    ProviderUnavailable,
    RateLimited,
    StorageUnavailable,
    Unauthenticated,
)
from lightphon_core.host import Clock
from lightphon_core.ledger.owners import is_there
from lightphon_core.money import sats
from lightphon_core.payments.deposits import store
from lightphon_core.payments.deposits.deposit import Deposit, Status, new_id
from lightphon_core.payments.deposits.followers import Followers
from lightphon_core.payments.deposits.record import DISPUTE_WINDOW_S, Recorded, record
from lightphon_core.payments.deposits.terms import Quotes, no_rate, terms_of
from lightphon_core.ports import PaymentProvider
from lightphon_core.settings import DepositSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import microseconds
from lightphon_core.types import Event, Fiat, Hint, NewDeposit, Opened

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

OPENING_TIMEOUT_S = 30.0


class Deposits:
    """One per application, used on one event loop. `providers` are by name, `followers` those who wait for a deposit.
    `opened` is called with each deposit that somebody should watch from now on, `hinted` with each that may have been
    paid."""

    def __init__(
        self,
        database: Database,
        providers: Sequence[PaymentProvider],
        settings: DepositSettings,
        clock: Clock,
        log: BoundLogger,
        *,
        quote: Quotes = no_rate,
        public_url: str | None = None,
        dispute_window_s: int = DISPUTE_WINDOW_S,
    ) -> None:
        """`quote` says what is credited for a price; `public_url` is where the world reaches this server."""
        self.providers: Mapping[str, PaymentProvider] = {provider.name: provider for provider in providers}
        self.database = database
        self.settings = settings
        self.clock = clock
        self.log = log
        self.dispute_window_s = dispute_window_s
        self.opened: Callable[[Deposit], object] = lambda _: None
        self.hinted: Callable[[Deposit], object] = lambda _: None
        self._quote = quote
        self._pages = None if public_url is None else f"{public_url.rstrip('/')}/deposits/"
        self.followers = Followers(self.get, self._followed)

    def provider(self, name: str | None) -> PaymentProvider:
        """The provider of this name; the only one, where no name is given.

        Raises:
            InvalidRequest: there is none of this name, or several to choose from.
        """
        if not self.providers:
            raise InvalidRequest(
                "This server takes no deposits: its operator has set up no payment provider.", param="provider"
            )
        if name is None and len(self.providers) == 1:
            return next(iter(self.providers.values()))
        if name is None or name not in self.providers:
            known = ", ".join(sorted(self.providers))
            asked = "Name a provider" if name is None else f"There is no provider {name[:64]!r}"
            raise InvalidRequest(f"{asked}; there are: {known}.", param="provider")
        return self.providers[name]

    async def open(self, account: str, provider_name: str | None, asked: int | Fiat) -> Deposit:
        """Have a deposit opened for an account: of so many msat or, where the provider has a currency, of what a price
        buys now. It is stored before its provider is asked.

        Raises:
            InvalidRequest: there is no such provider, or it or the operator takes no such amount.
            Unauthenticated: the account has been deleted meanwhile.
            RateUnavailable: what the price buys is not known now.
            RateLimited: the account has too many that are open.
            ProviderUnavailable: the provider does not answer. Nothing is to be paid then.
            StorageUnavailable: the database does not answer.
        """
        provider = self.provider(provider_name)
        terms = terms_of(provider, asked, self.settings, self._quote)
        now, expiry_s = self.clock.now(), self.settings.expiry_s
        deposit = Deposit(
            new_id(),
            account,
            provider.name,
            Status.CREATING,
            terms.amount,
            None,
            None,
            {},
            microseconds(now),
            microseconds(now + expiry_s),
            None,
            terms.price,
            terms.rate,
        )
        page = None if self._pages is None else self._pages + deposit.id
        await self.database.write(partial(self._add, deposit=deposit))
        try:
            new = NewDeposit(deposit.id, terms.amount, f"Deposit {deposit.id}", expiry_s, terms.price, page)
            opened = await self._ask(provider, new)
            deposit = await self._mark_open(provider, deposit, opened)
        except BaseException:
            # Whatever the provider has of it, nobody was shown it.
            with contextlib.suppress(StorageUnavailable):
                await asyncio.shield(self.database.write(partial(store.mark_failed, deposit_id=deposit.id)))
            raise
        self.opened(deposit)
        return deposit

    async def get(self, account: str, deposit_id: str) -> Deposit:
        """A deposit of an account. Raises `NotFound` and `StorageUnavailable`."""
        return await self.database.read(partial(store.get_deposit, deposit_id=deposit_id, account=account))

    async def list(self, account: str, *, limit: int, before: str | None = None) -> list[Deposit]:
        """An account's deposits, the latest first. Raises `NotFound` where there is no `before`."""
        return await self.database.read(partial(store.deposits_of, account=account, limit=limit, before=before))

    async def tell(self, provider: PaymentProvider, event: Event) -> Recorded:
        """Record what a provider says, and tell those who follow. Raises `StorageUnavailable`."""
        recorded = await self.database.write(
            partial(
                record,
                provider=provider.name,
                origin=provider.origin,
                event=event,
                dispute_window_s=self.dispute_window_s,
            )
        )
        deposit = recorded.deposit
        if deposit is not None and recorded.fault is not None:
            self.log.error("a provider says what cannot be", deposit=deposit.id, fault=recorded.fault)
        if deposit is not None and recorded.new:
            self.log.info("deposit settled", deposit=deposit.id, sats=sats(deposit.received or 0))
            if recorded.stranded:
                self.log.warning(
                    "the account of a deposit that was paid is gone: the money is in adjustments, and yours to give",
                    deposit=deposit.id,
                    account=deposit.account,
                )
            self.followers.changed(deposit)
        if deposit is not None and recorded.taken_back:
            what = "returned" if recorded.taken_back < 0 else "taken back"
            left = sats((deposit.received or 0) - deposit.clawed_back)
            self.log.warning(
                f"money of a deposit was {what}", deposit=deposit.id, sats=sats(abs(recorded.taken_back)), left=left
            )
            self.followers.changed(deposit)
        return recorded

    async def webhook(self, provider_name: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take a call of a provider's webhook. What it only hints at is asked about; refs that are not ours are not.

        Raises:
            NotFound: there is no such provider, or it takes no webhooks.
            InvalidRequest: the call is none of the provider's.
            ProviderUnavailable: the provider's plugin failed; whoever called should call again.
            StorageUnavailable: it could not be recorded; whoever called should call again.
        """
        provider = self.providers.get(provider_name)
        if provider is None:
            raise NotFound("There is no such webhook.")
        try:
            all_said = await provider.webhook(headers, body)
        except LightPhonError:
            raise
        except Exception as error:
            self.log.error("a fault of the payment plugin", provider=provider.name, exc_info=error)
            raise ProviderUnavailable("The payment plugin failed. Call again later.") from error
        for said in all_said:
            if not isinstance(said, Hint):
                await self.tell(provider, Event(said, None))
                continue
            deposit = await self.database.read(partial(store.deposit_by_ref, provider=provider.name, ref=said.ref))
            if deposit is not None and deposit.may_settle:
                self.hinted(deposit)

    def _followed(self, deposit: Deposit) -> None:
        self.opened(deposit)  # it is asked about more often now

    def _add(self, connection: Connection, deposit: Deposit) -> None:
        if not is_there(connection, deposit.account):
            raise Unauthenticated("Your account is gone.", code="session_ended")
        open_until = store.unpaid_since(connection, deposit.account, deposit.created_at)
        if len(open_until) >= self.settings.most_open:
            raise RateLimited(
                f"{len(open_until)} deposits of this account are open. Pay one of them, or wait until one expires.",
                retry_after=(open_until[0] - deposit.created_at) / 1_000_000,
            )
        store.add_deposit(connection, deposit)

    async def _mark_open(self, provider: PaymentProvider, deposit: Deposit, opened: Opened) -> Deposit:
        expires_at = microseconds(opened.expires_at)
        mark = partial(store.mark_open, deposit_id=deposit.id, opened=opened, expires_at=expires_at)
        try:
            return await self.database.write(mark)
        except IntegrityError as error:
            self.log.error("a provider gave one ref to two deposits", provider=provider.name, deposit=deposit.id)
            raise ProviderUnavailable("The payment provider failed. Try again later.") from error

    async def _ask(self, provider: PaymentProvider, asked: NewDeposit) -> Opened:
        try:
            async with asyncio.timeout(OPENING_TIMEOUT_S):
                return await provider.open(asked)
        except (InvalidRequest, ProviderUnavailable):
            raise
        except TimeoutError as error:
            raise ProviderUnavailable("The payment provider does not answer. Try again later.") from error
        except Exception as error:
            self.log.error("a fault of the payment plugin", provider=provider.name, exc_info=error)
            raise ProviderUnavailable("The payment provider failed. Try again later.") from error
