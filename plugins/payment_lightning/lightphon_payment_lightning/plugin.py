"""The plugin: deposits and payouts over Bitcoin Lightning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from lightphon_core import Host, PaymentProvider, PayoutProvider, hookimpl
from lightphon_payment_lightning.chosen import wallet_of
from lightphon_payment_lightning.demo_command import add_to
from lightphon_payment_lightning.deposits import LightningDeposits
from lightphon_payment_lightning.payouts import LightningPayouts
from lightphon_payment_lightning.settings import LightningSettings
from lightphon_payment_lightning.wallets.demo import Demo

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler


class Lightning:
    """Fills wallets over Lightning, and pays out of them, through the wallet that the settings choose."""

    settings = LightningSettings

    def __init__(self, host: Host[LightningSettings]) -> None:
        self._host = host
        self._chosen = wallet_of(host)

    @hookimpl
    def register_payment_providers(self) -> Iterable[PaymentProvider]:
        return [LightningDeposits(self._chosen, self._host)] if self._chosen else []

    @hookimpl
    def register_payout_providers(self) -> Iterable[PayoutProvider]:
        return [LightningPayouts(self._chosen, self._host)] if self._chosen else []

    @hookimpl
    def register_routes(self) -> Sequence[ControllerRouterHandler]:
        if self._chosen and isinstance(self._chosen.wallet, Demo):
            # In here, since Litestar takes long to load: `lightphon --help` does without.
            from lightphon_payment_lightning.demo_routes import demo_routes

            return demo_routes(self._host, self._chosen.wallet)
        return []

    @staticmethod
    def register_commands(cli: click.Group) -> None:
        """Adds `lightphon demo-wallet`."""
        add_to(cli)
