"""Asking for a payout: what is checked, and how the money leaves the wallet. All in one transaction, or nothing."""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import Connection

from lightphon_core.errors import BalanceOnHold, BalanceOwed, InvalidRequest, NotWithdrawable, PermissionDenied
from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import WITHDRAWABLE
from lightphon_core.ledger.collection import owed_by
from lightphon_core.ledger.commands import LedgerError, Post
from lightphon_core.ledger.statement import balances_of, wallet_of
from lightphon_core.ledger.store import carry_out
from lightphon_core.money import sats
from lightphon_core.payments.deposits.deposit import Status
from lightphon_core.payments.deposits.store import deposit_by_ref
from lightphon_core.payments.payouts import store
from lightphon_core.payments.payouts.payout import Payout, PayoutState, taken
from lightphon_core.settings import PayoutSettings
from lightphon_core.types import Destination, Invoice

DAY_US = 86_400_000_000
ON_HOLD_S = 30.0


@frozen
class Wish:
    """A payout that somebody asks for: `destination` is what was typed, and `target` what it was read as."""

    id: str
    account: str
    provider: str
    destination: str
    target: Destination
    amount: int
    fee_cap: int
    automatic: bool = False


def ask(connection: Connection, wish: Wish, settings: PayoutSettings, now: int) -> Payout:
    """Take amount and fee cap from the wallet and store the payout; or the payout that was asked for before under the
    same id. `now` is in microseconds since 1970. For `Database.write`.

    Raises:
        InvalidRequest: amount or invoice are not payable, a limit is reached, or the id was used for another payout.
        PermissionDenied: the account is blocked, or gone.
        BalanceOwed: the account owes money.
        NotWithdrawable: the wallet has less that can be withdrawn.
        BalanceOnHold: it has enough, but for what is set aside.
    """
    before = store.find_payout(connection, wish.id)
    if before is not None:
        if (before.account, before.destination, before.amount) != (wish.account, wish.destination, wish.amount):
            raise InvalidRequest(
                "This Idempotency-Key was used for another payout. Take a new one.",
                param="idempotency-key",
                code="idempotency_key_reused",
            )
        return before
    if not store.may_withdraw(connection, wish.account):
        raise PermissionDenied("This account is blocked.", code="account_blocked")
    if owed := owed_by(connection, wish.account):
        raise BalanceOwed(sats(owed))
    if isinstance(wish.target, Invoice):
        _check_invoice(connection, wish, wish.target, now)
    _check_limits(connection, wish, settings, now)
    lightning, earned = _parts(connection, wish)
    above = settings.approval_above
    invoice = wish.target if isinstance(wish.target, Invoice) else None
    payout = Payout(
        wish.id,
        wish.account,
        wish.provider,
        PayoutState.AWAITING_APPROVAL if above is not None and wish.amount > above else PayoutState.HELD,
        wish.destination,
        wish.automatic,
        wish.amount,
        wish.fee_cap,
        None,
        lightning,
        earned,
        invoice.ref if invoice else None,
        invoice.text if invoice else None,
        round(invoice.expires_at * 1_000_000) if invoice else None,
        None,
        now,
    )
    store.add_payout(connection, payout)
    write_entry(connection, taken(payout))
    return payout


def write_entry(connection: Connection, entry: Post) -> None:
    """Write an entry of a payout, which its row's state says is not there yet. Raises `LedgerError`."""
    (answer,) = carry_out(connection, [entry])
    if isinstance(answer, LedgerError):
        raise answer
    if not answer.new:
        raise LedgerError(f"The entry {entry.kind} of {entry.external_id} is there already.")


def withdrawable(connection: Connection, account: str) -> tuple[list[int], int]:
    """What of each origin in `WITHDRAWABLE` can be paid out now, and how much more is set aside for answers."""
    found = balances_of(connection, chart.wallets(account))
    parts = [found.get(chart.wallet(account, origin), (0, 0)) for origin in WITHDRAWABLE]
    return [amount - held for amount, held in parts], sum(held for _, held in parts)


def left_today(connection: Connection, account: str, settings: PayoutSettings, now: int) -> int:
    """What the limits leave to the account now."""
    since = now - DAY_US
    return min(
        settings.daily - store.withdrawn_since(connection, since, account),
        settings.daily_of_all - store.withdrawn_since(connection, since),
    )


def _check_invoice(connection: Connection, wish: Wish, invoice: Invoice, now: int) -> None:
    if invoice.expires_at * 1_000_000 <= now:
        raise InvalidRequest("This invoice has expired.", param="destination", code="invoice_expired")
    if store.payout_by_ref(connection, wish.provider, invoice.ref) is not None:
        raise InvalidRequest(
            "A payout of this invoice was asked for before, and an invoice is good for one. Take a new one.",
            param="destination",
            code="invoice_used",
        )
    deposit = deposit_by_ref(connection, wish.provider, invoice.ref)
    if deposit is None:
        return
    if not deposit.is_paid_by(invoice.text):
        raise InvalidRequest(
            "This invoice is a forgery: its payment hash is that of another one.",
            param="destination",
            code="invoice_forged",
        )
    if deposit.account == wish.account:
        raise InvalidRequest(
            "This invoice is a deposit of your own: nothing would move.", param="destination", code="own_invoice"
        )
    if deposit.status is Status.SETTLED:
        raise InvalidRequest("This invoice was paid already.", param="destination", code="invoice_paid")


def _check_limits(connection: Connection, wish: Wish, settings: PayoutSettings, now: int) -> None:
    if wish.amount < settings.least:
        raise InvalidRequest(
            f"A payout is of {sats(settings.least)} sats at least here, not {sats(wish.amount)}.", param="amount_sats"
        )
    since = now - DAY_US
    left = settings.daily - store.withdrawn_since(connection, since, wish.account)
    if wish.amount > left:
        raise InvalidRequest(
            f"An account may withdraw {sats(settings.daily)} sats in 24 hours; {sats(max(0, left))} sats are left.",
            param="amount_sats",
            code="payout_limit_reached",
        )
    if wish.amount > settings.daily_of_all - store.withdrawn_since(connection, since):
        raise InvalidRequest(
            "This server has paid out nearly all that it may in 24 hours. Withdraw less, or try again tomorrow.",
            param="amount_sats",
            code="payout_limit_reached",
        )


def _parts(connection: Connection, wish: Wish) -> tuple[int, int]:
    """What is taken of each origin that can be withdrawn."""
    needed = wish.amount + wish.fee_cap
    (lightning, earned), held = withdrawable(connection, wish.account)
    there = lightning + earned
    if there >= needed:
        from_lightning = min(lightning, needed)
        return from_lightning, needed - from_lightning
    costs = f"The payout needs {sats(wish.amount)} sats and up to {sats(wish.fee_cap)} sats for the network"
    if there + held >= needed:
        raise BalanceOnHold(
            f"{costs}. The wallet has them, but part of it is set aside for answers under way.", retry_after=ON_HOLD_S
        )
    wallet = wallet_of(connection, wish.account)
    rest = sum(amount for origin, amount in wallet.by_origin.items() if origin not in WITHDRAWABLE)
    other = (
        f" {sats(rest)} sats more were granted or paid by card, which can be spent and not withdrawn." if rest else ""
    )
    raise NotWithdrawable(f"{costs}; {sats(there)} sats can be withdrawn.{other}", param="amount_sats")
