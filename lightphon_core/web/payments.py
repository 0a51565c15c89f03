"""Deposits and payouts of one application, put together from what its plugins bring."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from attrs import frozen

from lightphon_core.errors import SettingsError
from lightphon_core.host import Clock, Tasks
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.payments.deposits.watch import Watch, watches
from lightphon_core.payments.payouts.administration import PayoutAdministration
from lightphon_core.payments.payouts.reconciliation import Reconciliation
from lightphon_core.payments.payouts.runner import PayoutRunner
from lightphon_core.payments.payouts.sent_log import RestoreMark, SentLog
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.payments.payouts.submission import Submission
from lightphon_core.plugins import Plugins
from lightphon_core.ports import PaymentProvider, PayoutProvider
from lightphon_core.rates.board import RateBoard
from lightphon_core.rates.quotes import CURRENCY
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database

log = structlog.stdlib.get_logger("lightphon.payments")


@frozen
class Payments:
    """What the application has of payments. `run` has all of it begin, once the plugins are started."""

    rates: RateBoard
    deposits: Deposits
    watches: Sequence[Watch]
    payouts: Payouts
    administration: PayoutAdministration
    runner: PayoutRunner

    def run(self, tasks: Tasks) -> None:
        """Begin to listen, to look and to pay, in the background."""
        if self.rates.asks:
            tasks.spawn(self.rates.keep(), name="keep rates")
        for watch in self.watches:
            tasks.spawn(watch.keep(), name="look at deposits")
            if watch.pushes:
                tasks.spawn(watch.listen(), name="listen for payments")
        if self.payouts.providers:
            tasks.spawn(self.runner.run(), name="pay out")
            tasks.spawn(self.runner.run_automatic(), name="pay out automatically")


def assemble_payments(plugins: Plugins, database: Database, settings: Settings, clock: Clock) -> Payments:
    """Collect the providers.

    Raises:
        SettingsError: play money is beside real money, a provider is paid in a currency whose rate nobody knows, or
            there is no such source of rates.
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
    foreign = [provider for provider in providers if provider.currency not in (None, CURRENCY)]
    if foreign:
        raise SettingsError(
            f"The provider {foreign[0].name!r} is paid in {foreign[0].currency}, and only the rate of {CURRENCY} is "
            "known. Switch it off."
        )
    wanted = settings.rates.display or any(provider.currency is not None for provider in providers)
    rates = RateBoard(settings.rates, clock, log, wanted=wanted)
    deposits = Deposits(
        database,
        providers,
        settings.deposits,
        clock,
        log,
        quote=rates.quote,
        public_url=settings.server.public_url,
        dispute_window_s=settings.ledger.card_earnings_delay_s,
    )
    payers: list[PayoutProvider] = plugins.collect("register_payout_providers", PayoutProvider)
    payouts = Payouts(database, payers, settings.payouts, clock)
    sent_log = SentLog(settings.data_dir)
    submission = Submission(database, payouts.providers, sent_log, clock, log, deposits.followers.changed)
    mark = RestoreMark(settings.data_dir)
    reconciliation = Reconciliation(database, payouts.providers, sent_log, mark, clock)
    return Payments(
        rates,
        deposits,
        watches(deposits),
        payouts,
        PayoutAdministration(payouts, submission, reconciliation),
        PayoutRunner(payouts, submission, reconciliation, log),
    )
