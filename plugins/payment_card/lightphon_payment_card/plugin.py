"""The plugin: deposits by card."""

from __future__ import annotations

from collections.abc import Iterable

from lightphon_core import Host, PaymentProvider, hookimpl
from lightphon_payment_card.settings import CardSettings


class Card:
    """Fills wallets by card, where the settings have a key of Stripe's."""

    settings = CardSettings

    def __init__(self, host: Host[CardSettings]) -> None:
        self._host = host

    @hookimpl
    def register_payment_providers(self) -> Iterable[PaymentProvider]:
        if self._host.settings.secret_key is None:
            return []
        # Stripe's library takes half a second to load: only who uses it waits.
        from lightphon_payment_card.deposits import CardDeposits

        return [CardDeposits(self._host)]
