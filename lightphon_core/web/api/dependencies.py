"""What the handlers of the JSON API may ask for by name."""

from __future__ import annotations

from typing import Protocol, TypeAlias, TypeVar

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from lightphon_core.accounts.membership import Membership
from lightphon_core.accounts.passwords import Passwords
from lightphon_core.host import AccountChanges
from lightphon_core.ledger.earnings import EarningsReader
from lightphon_core.ledger.prover import Prover
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.payments.payouts.administration import PayoutAdministration
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.plugins import Plugins
from lightphon_core.rates.board import RateBoard
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database
from lightphon_core.types import Principal
from lightphon_core.web.authentication import came_via
from lightphon_core.web.edge.access_log import NOTED
from lightphon_core.web.monitoring.health import Readiness
from lightphon_core.web.monitoring.recent import Recent

T = TypeVar("T")


class Note(Protocol):
    """Adds to the request's line in the log what an administrator's act is about."""

    def __call__(self, **ids: str) -> None:
        """By name: ids, and never what people wrote."""


Given: TypeAlias = NamedDependency[SkipValidation[T]]
"""The type of a handler's parameter that is provided here, under the parameter's name."""


def _principal(request: Request[Principal, None, State]) -> Principal:
    return request.user  # set by `guards.Requires`


def _note(request: Request[Principal, None, State]) -> Note:
    def note(**ids: str) -> None:
        request.scope["state"].setdefault(NOTED, {}).update(ids)

    return note


def _via(request: Request[Principal, None, State]) -> frozenset[str]:
    return came_via(request)


def _database(state: State) -> Database:
    database: Database = state.database
    return database


def _gateway(state: State) -> Gateway:
    gateway: Gateway = state.gateway
    return gateway


def _earnings(state: State) -> EarningsReader:
    earnings: EarningsReader = state.earnings
    return earnings


def _membership(state: State) -> Membership:
    membership: Membership = state.membership
    return membership


def _deposits(state: State) -> Deposits:
    deposits: Deposits = state.deposits
    return deposits


def _rates(state: State) -> RateBoard:
    rates: RateBoard = state.rates
    return rates


def _payouts(state: State) -> Payouts:
    payouts: Payouts = state.payouts
    return payouts


def _payout_administration(state: State) -> PayoutAdministration:
    administration: PayoutAdministration = state.payout_administration
    return administration


def _passwords(state: State) -> Passwords:
    passwords: Passwords = state.passwords
    return passwords


def _account_changes(state: State) -> AccountChanges:
    account_changes: AccountChanges = state.account_changes
    return account_changes


def _recent(state: State) -> Recent:
    recent: Recent = state.recent
    return recent


def _settings(state: State) -> Settings:
    settings: Settings = state.settings
    return settings


def _plugins(state: State) -> Plugins:
    plugins: Plugins = state.plugins
    return plugins


def _prover(state: State) -> Prover:
    prover: Prover = state.prover
    return prover


def _readiness(state: State) -> Readiness:
    readiness: Readiness = state.readiness
    return readiness


DEPENDENCIES = {
    name: Provide(provide, sync_to_thread=False)
    for name, provide in (
        ("principal", _principal),
        ("via", _via),
        ("note", _note),
        ("database", _database),
        ("gateway", _gateway),
        ("earnings", _earnings),
        ("membership", _membership),
        ("deposits", _deposits),
        ("rates", _rates),
        ("payouts", _payouts),
        ("payout_administration", _payout_administration),
        ("passwords", _passwords),
        ("settings", _settings),
        ("account_changes", _account_changes),
        ("recent", _recent),
        ("plugins", _plugins),
        ("prover", _prover),
        ("readiness", _readiness),
    )
}
