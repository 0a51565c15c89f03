"""The plugin: deposits and payouts over Bitcoin Lightning."""

from __future__ import annotations

from collections.abc import Iterable

from lightphon_core import Host, PaymentProvider, PayoutProvider, hookimpl
from lightphon_payment_lightning.chosen import wallet_of
from lightphon_payment_lightning.deposits import LightningDeposits
from lightphon_payment_lightning.payouts import LightningPayouts
from lightphon_payment_lightning.settings import LightningSettings


class Lightning:
    """Fills wallets over Lightning, and pays out of them, through the wallet that the settings choose."""

    settings = LightningSettings

    def __init__(self, host: Host[LightningSettings]) -> None:
        self._host = host
        self._chosen = wallet_of(host)

    @hookimpl
    def register_payment_providers(self) -> Iterable[PaymentProvider]:
        if self._chosen is None:
            return []
        return [LightningDeposits(self._chosen, self._host)]

    @hookimpl
    def register_payout_providers(self) -> Iterable[PayoutProvider]:
        if self._chosen is None:
            return []
        return [LightningPayouts(self._chosen, self._host)]
