"""/wallet: what an account has, a deposit, and the statement. /wallet/deposits: all deposits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final

from attrs import frozen
from litestar import Response, get
from litestar.params import QueryParameter

from lightphon_core.ledger.chart import WITHDRAWABLE, Origin
from lightphon_core.ledger.statement import Wallet
from lightphon_core.payments.deposits.deposit import Status
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.rates.board import RateBoard
from lightphon_core.settings import LedgerSettings, Settings
from lightphon_core.storage.engine import Database
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.deposits import ProviderShown, ways
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor
from lightphon_core.web.pages.wallet.deposit_state import state_of
from lightphon_core.web.pages.wallet.low_balance import ANSWERS
from lightphon_core.web.pages.wallet.payable import is_play_money, payable, worth
from lightphon_core.web.pages.wallet.statement import LINES, read_statement

DEPOSITS: Final = 25
OPEN_SHOWN: Final = 20
PRESETS: Final = (1_000, 5_000, 21_000)
"""Sats that are deposited with a click."""
PRESETS_EUR: Final = ("5.00", "10.00", "25.00")
_DAY_S: Final = 86_400

Before = Annotated[str | None, QueryParameter(pattern="^ent_[0-9a-f]{26}$", description="Only lines before this one.")]
DepositId = Annotated[str | None, QueryParameter(pattern="^dep_[0-9a-f]{24}$", description="A deposit.")]


@frozen
class OriginShown:
    """Money of one origin, in msat. `pending` is earned from it; `after` says when that can be used."""

    origin: Origin
    amount: int
    withdrawable: bool
    pending: int
    after: str


@get("/wallet", name="wallet-page")
async def wallet(
    request: Asked,
    visitor: Given[Visitor],
    database: Given[Database],
    deposits: Given[Deposits],
    rates: Given[RateBoard],
    settings: Given[Settings],
    before: Before = None,
    deposit: DepositId = None,
) -> Response[str]:
    """The page. `deposit` is one that is to be paid now."""
    account = visitor.account.id
    lines = await database.read(partial(read_statement, account=account, before=before))
    latest = await deposits.list(account, limit=OPEN_SHOWN)
    paying = None if deposit is None else await deposits.get(account, deposit)
    play_money = is_play_money(deposits)
    return page(
        request,
        "wallet/page.html",
        visitor,
        origins=origins(visitor.wallet, settings.ledger),
        worth=None if play_money or not visitor.wallet.available else worth(rates, visitor.wallet.available),
        play_money=play_money,
        ways=[(way, presets(way)) for way in sats_first(ways(deposits, settings.deposits))],
        paying=None if paying is None else payable(paying, deposits, rates),
        still_open=[(each, state_of(each)) for each in latest if each.status is Status.OPEN and each.id != deposit],
        lines=lines[:LINES],
        next=lines[LINES - 1].id if len(lines) > LINES else None,
        before=before,
        answers=ANSWERS,
        detail_days=settings.usage.detail_days,
    )


@get("/wallet/deposits", name="wallet-deposits")
async def all_deposits(
    request: Asked, visitor: Given[Visitor], deposits: Given[Deposits], before: DepositId = None
) -> Response[str]:
    """Every deposit, the latest first."""
    found = await deposits.list(visitor.account.id, limit=DEPOSITS + 1, before=before)
    return page(
        request,
        "wallet/deposits.html",
        visitor,
        deposits=[(each, state_of(each)) for each in found[:DEPOSITS]],
        next=found[DEPOSITS - 1].id if len(found) > DEPOSITS else None,
        before=before,
        play_money=is_play_money(deposits),
    )


def sats_first(found: Sequence[ProviderShown]) -> list[ProviderShown]:
    """The ways to pay, those in sats before those in a currency."""
    return sorted(found, key=lambda way: (way.currency is not None, way.name))


def presets(way: ProviderShown) -> list[str]:
    """The amounts that are offered of what the provider takes."""
    if way.least_sats is not None and way.most_sats is not None:
        return [str(each) for each in PRESETS if way.least_sats <= each <= way.most_sats]
    least, most = float(way.least_eur or 0), float(way.most_eur or 0)
    return [each for each in PRESETS_EUR if least <= float(each) <= most]


def origins(wallet: Wallet, settings: LedgerSettings) -> list[OriginShown]:
    """What there is of each origin, in the order in which it is spent."""

    def after(origin: Origin) -> str:
        delay = settings.card_earnings_delay_s if origin is Origin.CARD else settings.earnings_delay_s
        return delay_words(delay)

    return [
        OriginShown(origin, amount, origin in WITHDRAWABLE, wallet.pending[origin], after(origin))
        for origin, amount in wallet.by_origin.items()
    ]


def delay_words(seconds: int) -> str:
    """How long after it was earned money can be used."""
    if seconds >= 2 * _DAY_S:
        return f"{-(-seconds // _DAY_S)} days after they were earned"
    if seconds >= 2 * 3_600:
        return f"{-(-seconds // 3_600)} hours after they were earned"
    return "within minutes" if seconds < 600 else f"{-(-seconds // 60)} minutes after they were earned"


ROUTES = [wallet, all_deposits]
