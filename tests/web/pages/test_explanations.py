"""Every line of a statement in words."""

from decimal import Decimal

from attrs import evolve

from lightphon_core.accounts.sessions import PLAYGROUND
from lightphon_core.ledger.background import Answer, Background
from lightphon_core.ledger.statement import Line
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.payments.payouts.payout import Payout, PayoutState
from lightphon_core.types import Fiat
from lightphon_core.web.pages.wallet.explanations import Known, explain

DEPOSIT = Deposit("dep_1", "u", "lightning", Status.SETTLED, 5_000_000, 5_000_000, "r", {}, 0, 0, 1)
CARD = evolve(DEPOSIT, id="dep_2", provider="card", price=Fiat("EUR", 1250), rate=Decimal("60000.00"))
PAYOUT = Payout(
    "pay_1", "u", "lightning", PayoutState.PAID, "lnbc1" + "q" * 300, True, 70_000, 10_700, 2_000, 80_700, 0, "r", None,
    None, "No route.", 0,
)  # fmt: skip
KNOWN = Known({"k": "laptop"}, {"dep_1": DEPOSIT, "dep_2": CARD}, {"pay_1": PAYOUT})


def told(kind, note="", amount=-1_000, **background):
    line = Line("ent_1", 1_800_000_000_000_000, kind, note, amount)
    found = explain(line, Background(**{"source": "lightning", **background}), KNOWN)
    assert (found.at, found.amount) == (1_800_000_000, amount)
    return [found.title, *found.details]


def test_an_answer():
    answer = Answer("qwen", "k", 12_345, 400, 3_210)
    words = ["Answer of qwen", "12\u202f345 tokens in, 400 out, 3.2 s of inference", "asked by laptop"]
    assert told("charge", "qwen", answer=answer) == words
    assert told("charge", "qwen", answer=evolve(answer, credential_id=PLAYGROUND))[-1] == "asked by Playground"
    assert told("charge", "qwen", answer=evolve(answer, credential_id="gone"))[-1] == "asked by a key without a name"
    assert told("charge", "qwen") == ["Answer of qwen", "Its details are kept no longer."]


def test_deposits():
    assert told("deposit", "dep_1") == ["Deposit", "5\u202f000 sats over lightning"]
    assert told("deposit", "dep_2", settled=9_000) == [
        "Deposit",
        "12.50 EUR by card, at 60000.00 EUR for a bitcoin",
        "9 sats of it settled what was owed",
    ]
    assert told("deposit", "dep_of_another_server") == ["Deposit", "over lightning"]


def test_refunds_disputes_and_debts():
    taken = told("reversal", "dep_2", claimed=10_000, settled=4_000)
    assert taken[0] == "Refund or dispute"
    assert taken[1].startswith("10 sats of a deposit (12.50 EUR by card")
    assert taken[2] == "6 sats were not in the wallet"
    assert len(told("reversal", "dep_2", claimed=4_000, settled=4_000)) == 2
    assert told("reinstatement", "dep_2", settled=4_000)[1] == "It came to nothing: 4 sats were returned"
    assert told("collection", settled=2_000) == ["Debt collected", "2 sats of it settled what was owed"]
    assert told("collection", amount=5)[0] == "Debt given back"


def test_withdrawals():
    title, what, by_itself = told("payout", "pay_1")
    assert title == "Withdrawal"
    assert what == "70 sats to lnbc1qqqqqqqqq…qqqqqqqq, and up to 10.7 sats for the network"
    assert by_itself.startswith("Paid by itself")
    assert told("payout_paid", "pay_1") == ["Left of a withdrawal's fee", "The network took 2 sats"]
    assert told("payout_failed", "pay_1") == ["Withdrawal failed, all of it is back", "No route."]
    assert told("internal", "pay_1")[0] == "Withdrawal settled inside this server"
    assert told("internal", "pay_of_somebody_else") == ["Deposit", "Paid by another account of this server"]


def test_by_hand_and_by_nodes():
    assert told("adjustment", "Welcome", 1_000) == ["Credit by the operator", "Welcome"]
    assert told("adjustment", "Oops", -1_000) == ["Debit by the operator", "Oops"]
    assert told("maturity", amount=1_000)[0] == "Earnings of your nodes"


def test_a_kind_that_is_not_known_is_shown_as_it_is():
    assert told("some_day", "a note") == ["Some day", "a note"]
