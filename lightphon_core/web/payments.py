"""Deposits of one application, put together from what its plugins bring."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from attrs import frozen

from lightphon_core.errors import SettingsError
from lightphon_core.host import Clock, Tasks
from lightphon_core.payments.deposits import Deposits
from lightphon_core.payments.watch import Watch, watches
from lightphon_core.plugins import Plugins
from lightphon_core.ports import PaymentProvider
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database

log = structlog.stdlib.get_logger("lightphon.payments")


@frozen
class Payments:
    """What the application has of payments. `run` has all of it begin, once the plugins are started."""

    deposits: Deposits
    watches: Sequence[Watch]

    def run(self, tasks: Tasks) -> None:
        """Begin to listen and to look, in the background."""
        for watch in self.watches:
            tasks.spawn(watch.keep(), name="look at deposits")
            if watch.pushes:
                tasks.spawn(watch.listen(), name="listen for payments")


def assemble_payments(plugins: Plugins, database: Database, settings: Settings, clock: Clock) -> Payments:
    """Collect the providers.

    Raises:
        SettingsError: play money is beside real money.
        PluginError: a plugin's providers are none.
    """
    providers: list[PaymentProvider] = plugins.collect("register_payment_providers", PaymentProvider)
    play = [provider.name for provider in providers if provider.play_money]
    if play and len(providers) > 1:
        real = sorted(provider.name for provider in providers if not provider.play_money)
        beside = ", ".join(real or play[1:])
        raise SettingsError(
            f"The provider {play[0]!r} makes play money, and must not run beside {beside}: it could be withdrawn as "
            "real money. Switch one of them off."
        )
    deposits = Deposits(database, providers, settings.deposits, clock, log)
    return Payments(deposits, watches(deposits))
