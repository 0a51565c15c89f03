"""What Electrum says, and what is made of it. That it says so is for tests/live/regtest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from lightphon_payment_lightning.wallets import electrum
from lightphon_payment_lightning.wallets.electrum import Electrum, ElectrumSettings

from lightphon_core import (
    Failed,
    Gone,
    InFlight,
    InvalidRequest,
    NewDeposit,
    NotKnown,
    NotSent,
    Outgoing,
    Paid,
    Payment,
    ProviderUnavailable,
    Secret,
    Settled,
    Waiting,
)
from lightphon_core.testing import host_for

REF = "ab" * 32
UNPAID, EXPIRED, PAID, IN_PROGRESS, FAILED = 0, 1, 3, 4, 5
CHANNEL = "cd" * 32 + ":0"
PAYMENT = Payment("pay_1", REF, "lnbcrt1", 10_000_000, 50_000)


class Says:
    """In place of the daemon: answers by method, a result or an error. `asked` is what came, in order."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.results: dict[str, Any] = {"lightning_history": [], "list_channels": [], "list_invoices": []}
        self.errors: dict[str, str] = {}
        self.failures: dict[str, Exception] = {}
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    async def ask(self, method: str, path: str, *, content: Any, timeout_s: float | None = None) -> Any:
        assert (method, path) == ("POST", "/")
        name = content["method"]
        self.asked.append((name, content["params"]))
        if name in self.failures:
            raise self.failures[name]
        if name in self.errors:
            return {"id": 1, "jsonrpc": "2.0", "error": {"code": 1, "message": self.errors[name]}}
        return {"id": 1, "jsonrpc": "2.0", "result": self.results[name]}


@pytest.fixture
def wallet(monkeypatch: pytest.MonkeyPatch) -> Electrum:
    monkeypatch.setattr(electrum, "Daemon", Says)
    return Electrum(ElectrumSettings("http://127.0.0.1:1", "user", Secret("secret")), host_for(None))


@pytest.fixture
def says(wallet: Electrum) -> Any:
    return wallet._daemon


def history(amount: int, fee: int | None, direction: int = 0) -> dict[str, Any]:
    return {
        "type": "payment",
        "payment_hash": REF,
        "amount_msat": amount,
        "fee_msat": fee,
        "direction": direction,
        "timestamp": 1_000,
    }


def put_htlc(says: Any, state: str, direction: str = "OUT", amount: int = 10_002_000, at: int = 1_000) -> None:
    says.results["list_channels"] = [{"channel_point": CHANNEL}]
    htlc = {"id": 1, "direction": direction, "amount": amount, "timestamp": at, "payment_hash": REF}
    folders = says.results.setdefault("list_channel_htlcs", {"settled": [], "inflight": [], "failed": []})
    folders[state].append(htlc)


async def test_an_invoice_is_asked_for_in_bitcoins_and_takes_whole_sats_only(wallet, says):
    says.results["add_request"] = {"lightning_invoice": "lnbcrt1..."}
    assert await wallet.invoice(NewDeposit("dep_1", 1_000, "memo", 600)) == "lnbcrt1..."
    assert await wallet.invoice(NewDeposit("dep_2", 2_100_000_000_000_000_000, "memo", 600)) == "lnbcrt1..."
    assert [params["amount"] for _, params in says.asked] == ["0.00000001", "21000000"]
    with pytest.raises(InvalidRequest, match="whole sats"):
        await wallet.invoice(NewDeposit("dep_3", 1_001, "memo", 600))


@pytest.mark.parametrize(
    ("status", "items", "expected"),
    [
        (UNPAID, [], Waiting()),
        (EXPIRED, [], Waiting()),
        (PAID, [], Waiting()),
        (PAID, [history(4_000_000, None, 1)], Waiting()),  # the first of two parts
        (PAID, [history(5_000_000, None, 1)], Settled(REF, 5_000_000)),
        (PAID, [history(5_000_500, None, 1)], Settled(REF, 5_000_500)),
    ],
)
async def test_a_request_is_settled_when_all_of_it_is_there(wallet, says, status, items, expected):
    says.results["get_request"] = {"status": status, "amount_msat": 5_000_000}
    says.results["lightning_history"] = items
    assert await wallet.received(REF) == expected


async def test_only_the_wallets_own_word_makes_a_payment_unknown(wallet, says):
    says.errors["get_request"] = says.errors["get_invoice"] = "Request not found"
    assert await wallet.received(REF) == Gone()
    assert await wallet.payment(REF) == NotKnown()
    says.errors["get_request"] = says.errors["get_invoice"] = "wallet not loaded"
    for call in (wallet.received(REF), wallet.payment(REF), wallet.pay(PAYMENT)):
        says.errors["lnpay"] = "wallet not loaded"
        with pytest.raises(ProviderUnavailable):
            await call


@pytest.mark.parametrize(
    ("status", "htlc", "items", "expected"),
    [
        (IN_PROGRESS, None, [], InFlight()),
        (PAID, None, [], InFlight()),
        (PAID, "settled", [history(-6_000_000, -4_000_000)], InFlight()),  # the first of two parts
        (PAID, "settled", [history(-10_002_000, 2_000)], Paid(2_000)),
        (FAILED, "failed", [], Failed(electrum._NO_WAY)),
        (FAILED, None, [], Failed(electrum._NO_WAY)),
        # After a restart Electrum calls it unpaid, whatever its HTLCs do.
        (UNPAID, "inflight", [], InFlight()),
        (EXPIRED, "inflight", [], InFlight()),
        (UNPAID, "settled", [history(-10_002_000, 2_000)], Paid(2_000)),
        (UNPAID, "failed", [], Failed(electrum._NO_WAY)),
        # What came in under the same hash is another matter.
        (FAILED, None, [history(10_000_000, None, 1)], Failed(electrum._NO_WAY)),
    ],
)
async def test_how_a_payment_stands(wallet, says, status, htlc, items, expected):
    says.results["get_invoice"] = {"status": status, "amount_msat": 10_000_000}
    says.results["lightning_history"] = items
    if htlc is not None:
        put_htlc(says, htlc)
    assert await wallet.payment(REF) == expected


async def test_what_was_refused_may_have_been_paid_before(wallet, says):
    says.errors["lnpay"] = "This invoice has been paid already"
    says.results["get_invoice"] = {"status": PAID, "amount_msat": 10_000_000}
    says.results["lightning_history"] = [history(-10_002_000, 2_000)]
    assert await wallet.pay(PAYMENT) == Paid(2_000)
    says.errors["get_invoice"] = "Request not found"
    assert await wallet.pay(PAYMENT) == Failed(electrum._REFUSED)


@pytest.mark.parametrize("answer", [{"results": {"lnpay": {"success": True}}}, {"errors": {"lnpay": "refused"}}])
async def test_a_daemon_that_is_gone_after_it_was_asked_may_have_paid(wallet, says, answer):
    for kind, said in answer.items():
        getattr(says, kind).update(said)
    says.failures["get_invoice"] = NotSent("No connection.")
    with pytest.raises(ProviderUnavailable) as raised:
        await wallet.pay(PAYMENT)
    assert not isinstance(raised.value, NotSent)


@pytest.mark.parametrize(
    ("amount", "cap", "asked"),
    [(10_000_000, 0, 0), (10_000_000, 50_000, 50_000), (100_000, 2_000_000, 999_999), (10_000_000, 9**9, 4_999_999)],
)
async def test_the_fee_cap_is_the_payouts_or_the_most_that_electrum_takes(wallet, says, amount, cap, asked):
    says.results |= {"lnpay": {"success": False}, "get_invoice": {"status": FAILED, "amount_msat": amount}}
    await wallet.pay(Payment("pay_1", REF, "lnbcrt1", amount, cap))
    assert says.asked[0] == ("lnpay", {"invoice": "lnbcrt1", "max_fee_msat": asked})


async def test_what_was_sent_since_is_what_htlcs_left_for(wallet, says):
    says.results["list_invoices"] = [{"invoice_id": REF, "status": PAID, "amount_msat": 10_000_000}]
    says.results["lightning_history"] = [history(-10_002_000, 2_000)]
    put_htlc(says, "settled", at=1_000)
    assert await wallet.payments(1_000) == [Outgoing(REF, 10_000_000, 1_000, Paid(2_000))]
    assert await wallet.payments(1_001) == []
    # What only passes through the wallet is none of its payments.
    says.results["list_invoices"] = []
    put_htlc(says, "settled", direction="IN")
    assert await wallet.payments(0) == []


async def test_an_answer_of_another_shape_is_not_believed(wallet, says):
    for wrong in (None, [], {"status": "3"}, {"status": True}):
        says.results["get_invoice"] = says.results["get_request"] = wrong
        for call in (wallet.payment(REF), wallet.received(REF)):
            with pytest.raises(ProviderUnavailable):
                await call
