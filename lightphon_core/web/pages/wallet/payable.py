"""A deposit as its owner pays it: what a wallet scans or opens, or where a card is asked for."""

from __future__ import annotations

from urllib.parse import urlsplit

from attrs import frozen

from lightphon_core.money import euros
from lightphon_core.payments.deposits.deposit import Deposit
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.rates.board import RateBoard
from lightphon_core.web.pages.wallet.deposit_state import DepositState, state_of
from lightphon_core.web.pages.wallet.qr import QrCode, lightning_uri, qr_code


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


def is_play_money(deposits: Deposits) -> bool:
    """Whether money here is worth nothing."""
    return any(provider.play_money for provider in deposits.providers.values())


def worth(rates: RateBoard, amount: int) -> str | None:
    """About what so many msat are worth in euros, where somebody knows."""
    cents = rates.approx(amount)
    return None if cents is None else euros(cents)
