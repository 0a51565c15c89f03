"""What is Core Lightning's own."""

from contextlib import aclosing

import pytest
from attrs import define
from lightphon_payment_lightning.testing.cln import ClnServer
from lightphon_payment_lightning.testing.node import invoice_over
from lightphon_payment_lightning.testing.rigs import Rig, rig_of
from lightphon_payment_lightning.wallets.cln import Cln

from lightphon_core import (
    Failed,
    InFlight,
    NewDeposit,
    NotKnown,
    NotSent,
    Paid,
    Payment,
    ProviderUnavailable,
    Settled,
)

AMOUNT = 21_000


@define
class HandClock:
    """A clock that a test moves."""

    time: float

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


def wallet_of(rig: Rig) -> tuple[Cln, ClnServer]:
    wallet, server = rig.wallet(), rig.server
    assert isinstance(wallet, Cln)
    assert isinstance(server, ClnServer)
    return wallet, server


def payment(fee_cap: int = 5_000) -> Payment:
    ref, text = invoice_over(AMOUNT)
    return Payment("pay_1", ref, text, AMOUNT, fee_cap)


async def test_a_deposit_that_is_asked_for_twice_has_one_invoice() -> None:
    async with rig_of("cln") as rig:
        wallet, server = wallet_of(rig)
        deposit = NewDeposit("dep_1", AMOUNT, "memo", 600)
        server.loses_reply = True
        with pytest.raises(ProviderUnavailable):
            await wallet.invoice(deposit)
        text = await wallet.invoice(deposit)
        assert [each.text for each in server.node.receivables.values()] == [text]
        await wallet.stop()


async def test_amounts_of_old_releases_end_with_msat() -> None:
    async with rig_of("cln") as rig:
        wallet, server = wallet_of(rig)
        server.suffix = "msat"
        made = server.node.receivable(AMOUNT)
        server.node.receive(made.payment_hash)
        assert await wallet.received(made.payment_hash) == Settled(made.payment_hash, AMOUNT)
        asked = payment()
        assert await wallet.pay(asked) == Paid(1_000)
        assert await wallet.payment(asked.ref) == Paid(1_000)
        await wallet.stop()


@pytest.mark.parametrize("paid", [0, 1, 2, 3, 64, 65])
async def test_the_first_start_finds_the_latest_payment_by_halves(paid: int) -> None:
    async with rig_of("cln") as rig:
        wallet, server = wallet_of(rig)
        made = server.node.receivable(AMOUNT)
        for number in range(1, paid + 1):
            each = server.node.receivable(AMOUNT) if number < 3 else made
            server.node.receivables[f"{number:064x}"] = type(made)(
                number, f"{number:064x}", each.text, AMOUNT, str(number), "", 0, 0, AMOUNT, number, 0
            )
        async with aclosing(wallet.settlements(None)) as events:
            assert (await anext(events)).cursor == f"cln:{paid}"
        assert len(server.served) <= 16
        await wallet.stop()


@pytest.mark.parametrize("code", [203, 205, 207, 209])
async def test_what_xpay_gives_up_has_failed_with_a_reason_of_ours(code: int) -> None:
    async with rig_of("cln") as rig:
        wallet, server = wallet_of(rig)
        server.fails_with = (code, 500)
        state = await wallet.pay(payment())
        assert isinstance(state, Failed)
        assert "xpay" not in state.reason
        await wallet.stop()


@pytest.mark.parametrize(("code", "status"), [(-1, 500), (-4, 500), (0, 502)])
async def test_an_error_that_may_come_from_a_broken_daemon_says_nothing(code: int, status: int) -> None:
    async with rig_of("cln") as rig:
        wallet, server = wallet_of(rig)
        server.fails_with = (code, status)
        with pytest.raises(ProviderUnavailable) as raised:
            await wallet.pay(payment())
        assert not isinstance(raised.value, NotSent)
        await wallet.stop()


@pytest.mark.parametrize(("code", "status"), [(1501, 401), (1502, 403), (-32601, 404)])
async def test_a_rune_that_may_not_pay_has_not_paid(code: int, status: int) -> None:
    async with rig_of("cln") as rig:
        wallet, server = wallet_of(rig)
        server.fails_with = (code, status)
        asked = payment()
        with pytest.raises(NotSent):
            await wallet.pay(asked)
        server.fails_with = None
        assert await wallet.pay(asked) == Paid(1_000), "it can be asked again"
        await wallet.stop()


async def test_parts_that_xpay_leaves_behind_are_in_flight() -> None:
    async with rig_of("cln") as rig:
        wallet, server = wallet_of(rig)
        server.node.holds = True
        server.leaves_parts = True
        server.fails_with = (209, 500)
        assert await wallet.pay(payment()) == InFlight()
        await wallet.stop()


async def test_failed_attempts_are_no_failed_payment_while_xpay_may_begin_another() -> None:
    clock = HandClock(0)
    async with rig_of("cln", clock=clock) as rig:
        wallet, server = wallet_of(rig)
        server.node.fails = True
        asked = payment()
        clock.time = server.node.begin(asked.invoice).at + 60
        assert await wallet.payment(asked.ref) == InFlight()
        clock.time += 120
        assert isinstance(await wallet.payment(asked.ref), Failed)
        server.node.fails = False
        assert await wallet.pay(asked) == Paid(1_000), "after it has failed for good, it can be asked for again"
        await wallet.stop()


async def test_what_xpay_has_not_begun_yet_is_not_asked_for_twice() -> None:
    async with rig_of("cln") as rig:
        wallet, server = wallet_of(rig)
        asked = payment()
        server.loses_reply = True
        with pytest.raises(ProviderUnavailable):
            await wallet.pay(asked)
        del server.node.sent[asked.ref]  # as long as it looks for routes, listpays shows nothing
        assert await wallet.payment(asked.ref) == NotKnown()
        assert await wallet.pay(asked) == InFlight()
        assert server.served.count("xpay") == 1
        await wallet.stop()
