"""What LNbits says, and what is made of it. That it says so is for tests/live/lnbits."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from attrs import evolve
from lightphon_payment_lightning.daemon import Rejected
from lightphon_payment_lightning.wallets import lnbits
from lightphon_payment_lightning.wallets.lnbits import Lnbits, LnbitsSettings
from websockets.sync.server import serve

from lightphon_core import (
    Failed,
    Gone,
    Hint,
    InFlight,
    InvalidRequest,
    NewDeposit,
    NotKnown,
    NotSent,
    Paid,
    Payment,
    ProviderUnavailable,
    Secret,
    Settled,
    Waiting,
)
from lightphon_core.testing import host_for

REF = "ab" * 32
SETTINGS = LnbitsSettings("http://127.0.0.1:1", Secret("reading"), Secret("paying"))
PAYMENT = Payment("pay_1", REF, "lnbc1", 10_000_000, 100_000)
PAYMENTS = "/api/v1/payments"


class Says:
    """In place of LNbits: `records` is what the wallet has; an exception in `answers` is raised."""

    records: list[dict[str, Any]]
    answers: dict[str, Any]

    def __init__(self, *_: Any, **__: Any) -> None:
        self.asked: list[tuple[str, Mapping[str, Any] | None]] = []

    async def ask(self, method: str, path: str, *, params: Any = None, content: Any = None) -> Any:
        self.asked.append((f"{method} {path}", content))
        answer = self.answers.get(f"{method} {path}")
        if path == f"{PAYMENTS}/paginated" and answer is None:
            return {"data": self.records, "total": len(self.records)}
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None, f"{method} {path} was not expected"
        return answer


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> type[Says]:
    monkeypatch.setattr(Says, "records", [], raising=False)
    monkeypatch.setattr(Says, "answers", {f"GET {PAYMENTS}/fee-reserve": {"fee_reserve": 100_000}}, raising=False)
    monkeypatch.setattr(lnbits, "Daemon", Says)
    return Says


@pytest.fixture
def wallet(says: type[Says]) -> Lnbits:
    return Lnbits(SETTINGS, host_for(None))


def record(amount: int, status: str = "success", fee: int = 0, expiry: str = "2100-01-01T00:00:00") -> dict[str, Any]:
    return {"payment_hash": REF, "amount": amount, "status": status, "fee": fee, "expiry": expiry}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], Gone()),
        ([record(5_000)], Settled(REF, 5_000)),
        ([record(5_000, fee=-40)], Settled(REF, 4_960)),  # what LNbits kept of it never came
        ([record(-5_000), record(5_000)], Settled(REF, 5_000)),  # paid from the same wallet
        ([record(-5_000)], Gone()),
        ([record(5_000, "failed")], Gone()),
        ([record(5_000, "pending", expiry="2020-01-01T00:00:00+00:00")], Waiting()),  # nobody marks it as failed
    ],
)
async def test_what_an_invoice_has_brought(wallet, says, records, expected):
    says.records = records
    assert await wallet.received(REF) == expected


async def test_a_pending_invoice_is_asked_about_at_the_node(wallet, says):
    says.records = [record(5_000, "pending")]
    says.answers[f"GET {PAYMENTS}/{REF}"] = {"paid": True, "details": record(5_000)}
    assert await wallet.received(REF) == Settled(REF, 5_000)
    # Without a key that it knows LNbits tells whether it is paid, and not how much came.
    says.answers[f"GET {PAYMENTS}/{REF}"] = {"paid": True, "preimage": "00"}
    assert await wallet.received(REF) == Waiting()


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], NotKnown()),
        ([record(10_000_000)], NotKnown()),
        ([record(-10_000_000, fee=-1_500)], Paid(1_500)),
        ([record(-10_000_000, fee=1_500)], Paid(1_500)),
        ([record(-10_000_000, "pending", fee=-100_000)], InFlight()),
    ],
)
async def test_how_a_payment_stands(wallet, says, records, expected):
    says.records = records
    says.answers[f"GET {PAYMENTS}/{REF}"] = {"paid": False}
    assert await wallet.payment(REF) == expected


async def test_a_key_that_is_refused_is_no_news_of_a_payment(wallet, says):
    refused = Rejected(404, {"detail": "Wallet not found."})
    says.answers |= {f"GET {PAYMENTS}/paginated": refused, f"POST {PAYMENTS}": refused}
    for call in (wallet.received(REF), wallet.payment(REF), wallet.payments(0)):
        with pytest.raises(ProviderUnavailable, match="key"):
            await call
    with pytest.raises(NotSent):
        await wallet.pay(PAYMENT)


@pytest.mark.parametrize(
    ("answer", "records", "expected"),
    [
        (record(-10_000_000, "pending"), [], InFlight()),
        (record(-10_000_000, fee=-2_000), [], Paid(2_000)),
        (record(10_000_000, "failed"), [], Failed("The invoice can no longer be paid.")),
        (Rejected(520, {"detail": "x", "status": "failed"}), [record(-10_000_000, fee=-7)], Paid(7)),
        (Rejected(520, {"detail": "x", "status": "failed"}), [], Failed("The Lightning wallet refused the payment.")),
        (Rejected(520, {"detail": "x", "status": "pending"}), [record(-10_000_000, "pending")], InFlight()),
    ],
)
async def test_how_paying_went(wallet, says, answer, records, expected):
    says.answers |= {f"POST {PAYMENTS}": answer, f"GET {PAYMENTS}/{REF}": {"paid": False}}
    says.records = records
    assert await wallet.pay(PAYMENT) == expected


@pytest.mark.parametrize("answer", [Rejected(520, None), Rejected(502, {"detail": "bad gateway"}), Rejected(504, None)])
async def test_what_somebody_in_between_says_leaves_a_payment_open(wallet, says, answer):
    says.answers[f"POST {PAYMENTS}"] = answer
    with pytest.raises(ProviderUnavailable) as raised:
        await wallet.pay(PAYMENT)
    assert not isinstance(raised.value, NotSent)


async def test_an_lnbits_that_is_gone_after_it_was_asked_may_have_paid(wallet, says):
    says.answers |= {
        f"POST {PAYMENTS}": Rejected(520, {"detail": "x", "status": "pending"}),
        f"GET {PAYMENTS}/paginated": NotSent("No connection."),
    }
    with pytest.raises(ProviderUnavailable) as raised:
        await wallet.pay(PAYMENT)
    assert not isinstance(raised.value, NotSent)


async def test_nothing_is_paid_where_lnbits_may_spend_more_than_the_cap(wallet):
    state = await wallet.pay(evolve(PAYMENT, fee_cap=99_999))
    assert isinstance(state, Failed)
    assert [asked for asked, _ in wallet._paying.asked] == [f"GET {PAYMENTS}/fee-reserve"]
    assert [wallet.least_fee_cap(amount) for amount in (1_000, 200_000, 200_100, 10_000_000)] == [
        2_000,
        2_000,
        2_001,
        100_000,
    ]


async def test_a_webhook_is_a_hint_and_asked_for_where_there_is_a_url(says):
    says.answers[f"POST {PAYMENTS}"] = {"bolt11": "lnbc1"}
    wallet = Lnbits(SETTINGS, evolve(host_for(None), public_url="https://gateway.example"))
    await wallet.invoice(NewDeposit("dep_1", 5_000, "memo", 600))
    (_, asked), *_ = wallet._reading.asked
    assert (asked["webhook"], asked["amount"]) == ("https://gateway.example/webhooks/lightning", 5)

    inner = json.dumps({"payment_hash": REF, "status": "success", "amount": 10**9})
    for body in (json.dumps(inner), inner):
        assert await wallet.webhook({}, body.encode()) == [Hint(REF)]
    for body in (b"", b"[]", b"{}", b'"{}"', b'{"payment_hash": "../x"}', b'"\xff"', b"[" * 100_000):
        with pytest.raises(InvalidRequest):
            await wallet.webhook({}, body)
    with pytest.raises(InvalidRequest, match="whole sats"):
        await wallet.invoice(NewDeposit("dep_1", 5_001, "memo", 600))


@pytest.fixture
def websocket() -> Iterator[tuple[str, list[str]]]:
    """Where it is, and what it says to whoever comes, before it hangs up."""
    said: list[str] = []

    def talk(connection: Any) -> None:
        for message in said:
            connection.send(message)

    with serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}", said
        server.shutdown()
        thread.join()


async def test_what_the_websocket_says_is_looked_up(says, websocket, monkeypatch):
    url, said = websocket
    monkeypatch.setattr(lnbits, "REREAD_AFTER_S", (0.0,))
    forged = "cd" * 32
    message = {"wallet_balance": 1, "payment": record(5_000) | {"payment_hash": forged}}
    said += ["hello", "[]", "{}", json.dumps(message), json.dumps({"payment": record(-5_000)})]
    said += [json.dumps({"payment": record(900_000)})]  # of an invoice over 5 sats
    says.records = [record(5_000)]
    wallet = Lnbits(evolve(SETTINGS, url=url), host_for(None))
    assert [event.change async for event in wallet.settlements(None)] == [Settled(REF, 5_000)]


async def test_the_key_in_the_websockets_address_is_in_no_error(says):
    wallet = Lnbits(SETTINGS, host_for(None))
    with pytest.raises(ProviderUnavailable) as raised:
        await anext(wallet.settlements(None))
    assert raised.value.__cause__ is None
    assert "reading" not in str(raised.value)
