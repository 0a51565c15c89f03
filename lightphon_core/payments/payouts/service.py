"""Payouts as people use them: asked for, shown, and paid by themselves if they like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from lightphon_core.errors import InvalidRequest, NotFound, PermissionDenied
from lightphon_core.host import Clock
from lightphon_core.money import sats
from lightphon_core.payments.payouts import store
from lightphon_core.payments.payouts.automatic import Automatic, automatic_of, remove_automatic, set_automatic
from lightphon_core.payments.payouts.payout import Payout, PayoutState, amount_of, fee_cap_of, payout_id
from lightphon_core.payments.payouts.withdrawal import Wish, ask
from lightphon_core.ports import PayoutProvider
from lightphon_core.settings import PayoutSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import microseconds
from lightphon_core.types import Address, Destination


class Payouts:
    """One per application. `providers` are by name. `asked` is called when there is a payout to be submitted."""

    def __init__(
        self, database: Database, providers: Sequence[PayoutProvider], settings: PayoutSettings, clock: Clock
    ) -> None:
        self.providers: Mapping[str, PayoutProvider] = {provider.name: provider for provider in providers}
        self.database = database
        self.settings = settings
        self.clock = clock
        self.asked: Callable[[], object] = lambda: None

    @property
    def now(self) -> int:
        """Microseconds since 1970."""
        return microseconds(self.clock.now())

    def provider(self, name: str | None) -> PayoutProvider:
        """The provider of this name; the only one, where no name is given. Raises `InvalidRequest`."""
        self._check_open()
        if name is None and len(self.providers) == 1:
            return next(iter(self.providers.values()))
        if name is None or name not in self.providers:
            asked = "Name a provider" if name is None else f"There is no provider {name[:64]!r}"
            raise InvalidRequest(f"{asked}; there are: {', '.join(sorted(self.providers))}.", param="provider")
        return self.providers[name]

    def read(self, destination: str) -> tuple[PayoutProvider, Destination]:
        """Who can pay to what somebody typed, and what it is. Raises `InvalidRequest`."""
        self._check_open()
        refusals: list[InvalidRequest] = []
        for provider in self.providers.values():
            try:
                return provider, provider.read(destination)
            except InvalidRequest as error:
                refusals.append(error)
        raise refusals[0]

    async def ask(
        self, account: str, destination: str, amount: int | None, *, key: str | None = None, automatic: bool = False
    ) -> Payout:
        """Take the money of a payout from the account's wallet; it is paid from then on, or awaits approval. With the
        same `key`, an Idempotency-Key, it happens once.

        Raises:
            InvalidRequest, NotWithdrawable, BalanceOwed, BalanceOnHold: it cannot be, and nothing has moved.
            PermissionDenied: payouts are switched off, or the account is blocked.
            StorageUnavailable: the database does not answer.
        """
        if not self.settings.enabled:
            raise PermissionDenied("Payouts are switched off on this server.", code="payouts_disabled")
        provider, target = self.read(destination)
        amount = amount_of(target, amount)
        wish = Wish(
            payout_id(account, key),
            account,
            provider.name,
            destination,
            target,
            amount,
            fee_cap_of(provider, self.settings, amount),
            automatic,
        )
        payout = await self.database.write(partial(ask, wish=wish, settings=self.settings, now=self.now))
        self.asked()
        return payout

    async def get(self, payout: str, *, account: str) -> Payout:
        """One of the account's. Raises `NotFound`."""
        return await self.database.read(partial(store.get_payout, payout_id=payout, account=account))

    async def list(
        self, *, account: str | None = None, state: PayoutState | None = None, limit: int, before: str | None = None
    ) -> Sequence[Payout]:
        """Those of an account, or of all, the latest first. Raises `NotFound` where there is no payout `before`."""
        look = partial(store.payouts_of, account=account, state=state, limit=limit, before=before)
        return await self.database.read(look)

    async def automatic(self, account: str) -> Automatic:
        """What the account has set up. Raises `NotFound`."""
        found = await self.database.read(partial(automatic_of, account=account))
        if found is None:
            raise NotFound("No automatic payout is set up.", param="account")
        return found

    async def set_automatic(self, account: str, destination: str, threshold: int) -> Automatic:
        """Pay the account's withdrawable money to the address `destination` whenever there are `threshold` msat.

        Raises:
            InvalidRequest: it is no address, or the threshold is less than the operator allows.
            PermissionDenied: payouts are switched off.
        """
        if not self.settings.enabled:
            raise PermissionDenied("Payouts are switched off on this server.", code="payouts_disabled")
        provider, target = self.read(destination)
        if not isinstance(target, Address):
            raise InvalidRequest(
                "An invoice can be paid once. Automatic payouts need an address, such as name@example.org.",
                param="destination",
            )
        if threshold < self.settings.automatic_least:
            raise InvalidRequest(
                f"The threshold is {sats(self.settings.automatic_least)} sats at least here.", param="threshold_sats"
            )
        made = Automatic(account, provider.name, destination, threshold)
        return await self.database.write(partial(set_automatic, automatic=made))

    async def remove_automatic(self, account: str) -> Automatic:
        """Pay it by itself no longer. What was set up; raises `NotFound` where nothing was."""
        removed = await self.database.write(partial(remove_automatic, account=account))
        if removed is None:
            raise NotFound("No automatic payout is set up.", param="account")
        return removed

    def _check_open(self) -> None:
        if not self.providers:
            raise InvalidRequest(
                "This server pays nothing out: its operator has set up no payout provider.", code="no_payout_provider"
            )
