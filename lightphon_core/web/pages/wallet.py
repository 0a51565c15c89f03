"""/wallet: what an account has, a deposit, and the statement. /wallet/deposits: all deposits."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlsplit

from attrs import frozen
from litestar import Response, get
from litestar.params import QueryParameter

from lightphon_core.accounts.credentials import list_credentials
from lightphon_core.errors import NotFound
from lightphon_core.ledger import chart
from lightphon_core.ledger.background import backgrounds
from lightphon_core.ledger.chart import WITHDRAWABLE, Origin
from lightphon_core.ledger.statement import Line, Wallet, statement
from lightphon_core.money import euros
from lightphon_core.payments.deposits import store as deposit_store
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.payments.payouts import store as payout_store
from lightphon_core.rates.board import RateBoard
from lightphon_core.settings import LedgerSettings, Settings
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.deposits import ProviderShown, ways
from lightphon_core.web.pages.deposit_state import DepositState, state_of
from lightphon_core.web.pages.explanations import Known, Told, explain
from lightphon_core.web.pages.low_balance import ANSWERS
from lightphon_core.web.pages.qr import QrCode, lightning_uri, qr_code
from lightphon_core.web.pages.rendering import Asked, page
from lightphon_core.web.pages.visitors import Visitor

LINES: Final = 25
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


@frozen
class Payable:
    """A deposit as its owner pays it. `uri` is for a wallet, `host` whose page `checkout_url` is; `worth` is about what
    it is worth in euros. What it has not is None."""

    deposit: Deposit
    state: DepositState
    uri: str | None
    qr: QrCode | None
    checkout_url: str | None
    host: str | None
    worth: str | None
    test_pay_path: str | None

    @property
    def expires_at(self) -> int:
        """In seconds since 1970."""
        return self.deposit.expires_at // 1_000_000


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
        "wallet.html",
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
        "wallet_deposits.html",
        visitor,
        deposits=[(each, state_of(each)) for each in found[:DEPOSITS]],
        next=found[DEPOSITS - 1].id if len(found) > DEPOSITS else None,
        before=before,
        play_money=is_play_money(deposits),
    )


def is_play_money(deposits: Deposits) -> bool:
    """Whether money here is worth nothing."""
    return any(provider.play_money for provider in deposits.providers.values())


def worth(rates: RateBoard, amount: int) -> str | None:
    """About what so many msat are worth in euros, where somebody knows."""
    cents = rates.approx(amount)
    return None if cents is None else euros(cents)


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


def payable(deposit: Deposit, deposits: Deposits, rates: RateBoard) -> Payable:
    """What the deposit's owner needs to pay it. Nothing that is over can be paid."""
    provider = deposits.providers.get(deposit.provider)
    state = state_of(deposit)
    invoice = deposit.pay.get("invoice") if state.waits else None
    checkout = deposit.pay.get("checkout_url") if state.waits else None
    uri = None if invoice is None else lightning_uri(invoice)
    play_money = provider is not None and provider.play_money
    return Payable(
        deposit,
        state,
        uri,
        None if uri is None else qr_code(uri),
        checkout,
        None if checkout is None else urlsplit(checkout).hostname,
        None if play_money or deposit.price is not None else worth(rates, deposit.amount),
        None if provider is None or invoice is None else provider.test_pay_path,
    )


def read_statement(connection: Connection, account: str, before: str | None) -> Sequence[Told]:
    """A page of lines in words, and one more where there are more. Raises `NotFound`."""
    lines = statement(connection, chart.wallets(account), limit=LINES + 1, before=before)
    behind = backgrounds(connection, account, lines)
    known = Known(
        {each.id: each.terms.name or each.hint for each in list_credentials(connection, account_id=account)},
        _deposits_of(connection, account, lines),
        {
            found.id: found
            for line in lines
            if line.note.startswith("pay_")
            and (found := payout_store.find_payout(connection, line.note)) is not None
            and found.account == account
        },
    )
    return [explain(line, behind[line.id], known) for line in lines]


def _deposits_of(connection: Connection, account: str, lines: Sequence[Line]) -> dict[str, Deposit]:
    found = {}
    for line in lines:
        if line.note.startswith("dep_"):
            with suppress(NotFound):
                found[line.note] = deposit_store.get_deposit(connection, line.note, account=account)
    return found


ROUTES = [wallet, all_deposits]
