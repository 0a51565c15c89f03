"""Each line of a statement in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import field, frozen

from lightphon_core.ledger.adjustment import ADJUSTMENT
from lightphon_core.ledger.background import Background
from lightphon_core.ledger.book import CHARGE
from lightphon_core.ledger.collection import COLLECTION
from lightphon_core.ledger.maturity import MATURITY
from lightphon_core.ledger.statement import Line
from lightphon_core.money import euros
from lightphon_core.payments.deposits.deposit import Deposit
from lightphon_core.payments.deposits.record import DEPOSIT
from lightphon_core.payments.deposits.reversals import REINSTATEMENT, REVERSAL
from lightphon_core.payments.payouts.payout import INTERNAL, PAYOUT, PAYOUT_FAILED, PAYOUT_PAID, Payout
from lightphon_core.web.pages.frame.askers import key_name
from lightphon_core.web.pages.frame.formats import in_sats, shortened, shown_number

"""What the credential of somebody begins with who asked from a page."""


@frozen
class Told:
    """A line in words: `title` says what it was, `details` the rest. `at`: seconds since 1970; `amount`: msat."""

    id: str
    at: int
    title: str
    details: tuple[str, ...]
    amount: int


@frozen
class Known:
    """What lines refer to: names of keys, deposits and payouts of the account, each by id."""

    keys: Mapping[str, str] = field(factory=dict)
    deposits: Mapping[str, Deposit] = field(factory=dict)
    payouts: Mapping[str, Payout] = field(factory=dict)


def explain(line: Line, background: Background, known: Known) -> Told:
    """The line in words. One of a kind that nobody here knows is shown by its kind and its note."""
    say = _SAYINGS.get(line.kind)
    title, *details = say(line, background, known) if say else (line.kind.replace("_", " ").capitalize(), line.note)
    return Told(line.id, line.at // 1_000_000, title, tuple(each for each in details if each), line.amount)


def paid_by(deposit: Deposit) -> str:
    """What was to be paid, and how."""
    if deposit.price is None:
        return f"{in_sats(deposit.amount)} over {deposit.provider}"
    price = f"{euros(deposit.price.cents)} {deposit.price.currency} by {deposit.provider}"
    return price if deposit.rate is None else f"{price}, at {deposit.rate:f} {deposit.price.currency} for a bitcoin"


def _charge(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    answer = background.answer
    if answer is None:
        return f"Answer of {line.note or 'a model'}", "Its details are kept no longer."
    tokens = f"{shown_number(answer.prompt_tokens)} tokens in, {shown_number(answer.completion_tokens)} out"
    took = f"{answer.ms / 1000:.1f} s of inference" if answer.ms else ""
    asked = f"asked by {key_name(answer.credential_id, known.keys)}"
    return f"Answer of {answer.model}", ", ".join(each for each in (tokens, took) if each), asked


def _deposit(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    deposit = known.deposits.get(line.note)
    how = paid_by(deposit) if deposit is not None else f"over {background.source}"
    return "Deposit", how, _settled(background)


def _reversal(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    deposit = known.deposits.get(line.note)
    of = "" if deposit is None else f" of a deposit ({paid_by(deposit)})"
    left = background.claimed - background.settled
    rest = f"{in_sats(left)} were not in the wallet" if left > 0 else ""
    return "Refund or dispute", f"{in_sats(background.claimed)}{of} were taken back", rest


def _reinstatement(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    del line, known
    return "Refund or dispute undone", f"It came to nothing: {in_sats(background.settled)} were returned"


def _collection(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    del known
    if line.amount > 0:
        return "Debt given back", "More had been collected than was owed"
    return "Debt collected", _settled(background)


def _payout(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    del background
    payout = known.payouts.get(line.note)
    if payout is None:
        return "Withdrawal", line.note
    by_itself = "Paid by itself, as you set it up" if payout.automatic else ""
    what = f"{in_sats(payout.amount)} to {shortened(payout.destination)}"
    return "Withdrawal", f"{what}, and up to {in_sats(payout.fee_cap)} for the network", by_itself


def _payout_paid(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    del background
    payout = known.payouts.get(line.note)
    fee = "" if payout is None or payout.fee is None else f"The network took {in_sats(payout.fee)}"
    return "Left of a withdrawal's fee", fee


def _payout_failed(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    payout = known.payouts.get(line.note)
    return "Withdrawal failed, all of it is back", payout.reason or "" if payout else "", _settled(background)


def _internal(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    del background
    if line.note in known.payouts:
        return "Withdrawal settled inside this server", "Nothing was taken for the network"
    return "Deposit", "Paid by another account of this server"


def _adjustment(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    del background, known
    return "Credit by the operator" if line.amount > 0 else "Debit by the operator", line.note


def _maturity(line: Line, background: Background, known: Known) -> tuple[str, ...]:
    del line, background, known
    return "Earnings of your nodes", "They can be used from now on"


def _settled(background: Background) -> str:
    return f"{in_sats(background.settled)} of it settled what was owed" if background.settled else ""


_SAYINGS: Mapping[str, Callable[[Line, Background, Known], tuple[str, ...]]] = {
    CHARGE: _charge,
    DEPOSIT: _deposit,
    REVERSAL: _reversal,
    REINSTATEMENT: _reinstatement,
    COLLECTION: _collection,
    PAYOUT: _payout,
    PAYOUT_PAID: _payout_paid,
    PAYOUT_FAILED: _payout_failed,
    INTERNAL: _internal,
    ADJUSTMENT: _adjustment,
    MATURITY: _maturity,
}
