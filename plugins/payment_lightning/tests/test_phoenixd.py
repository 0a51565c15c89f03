"""What is phoenixd's own."""

import pytest
from attrs import evolve
from lightphon_payment_lightning.testing.node import invoice_over
from lightphon_payment_lightning.testing.phoenixd import PASSWORD, WEBHOOK_SECRET, PhoenixdServer
from lightphon_payment_lightning.testing.rigs import Rig, rig_of
from lightphon_payment_lightning.wallets.phoenixd import Phoenixd, PhoenixdSettings

from lightphon_core import (
    Failed,
    Gone,
    Hint,
    InvalidRequest,
    NewDeposit,
    NotSent,
    Paid,
    Payment,
    ProviderUnavailable,
    Secret,
    Settled,
)
from lightphon_core.testing import host_for

AMOUNT = 21_000


def wallet_of(rig: Rig) -> tuple[Phoenixd, PhoenixdServer]:
    wallet, server = rig.wallet(), rig.server
    assert isinstance(wallet, Phoenixd)
    assert isinstance(server, PhoenixdServer)
    return wallet, server


def payment(amount: int = AMOUNT, fee_cap: int = 5_000) -> Payment:
    ref, text = invoice_over(amount)
    return Payment("pay_1", ref, text, amount, fee_cap)


async def test_its_fee_cannot_be_capped_lower() -> None:
    async with rig_of("phoenixd") as rig:
        wallet, server = wallet_of(rig)
        assert wallet.least_fee_cap(1_000) == 4_004
        assert wallet.least_fee_cap(1_000_000_000) == 4_004_000
        assert wallet.least_fee_cap(1_001) == 4_005, "rounded up"
        assert isinstance(await wallet.pay(payment(fee_cap=4_083)), Failed)
        assert not server.node.sent
        assert await wallet.pay(payment(fee_cap=4_084)) == Paid(1_000)
        await wallet.stop()


async def test_a_deposit_is_credited_with_what_is_left_of_it() -> None:
    async with rig_of("phoenixd") as rig:
        wallet, server = wallet_of(rig)
        server.keeps = 8
        some, all_of_it = server.node.receivable(AMOUNT), server.node.receivable(8_000)
        for each in (some, all_of_it):
            server.node.receive(each.payment_hash)
        assert await wallet.received(some.payment_hash) == Settled(some.payment_hash, 13_000)
        assert await wallet.received(all_of_it.payment_hash) == Gone()
        await wallet.stop()


async def test_webhooks_are_asked_for_signed_and_believed_then() -> None:
    async with rig_of("phoenixd") as rig:
        _, server = wallet_of(rig)
        settings = PhoenixdSettings(server.url, Secret(PASSWORD), Secret(WEBHOOK_SECRET))
        host = evolve(host_for(settings), public_url="https://lightphon.example")
        wallet = Phoenixd(settings, host)
        await wallet.invoice(NewDeposit("dep_1", AMOUNT, "m" * 200, 600))
        assert server.webhook_urls == ["https://lightphon.example/webhooks/lightning"]
        (ref,) = server.node.receivables
        headers, body = server.webhook(server.node.receive(ref))
        assert await wallet.webhook(headers, body) == [Settled(ref, AMOUNT)]
        for wrong in ({}, {"x-phoenix-signature": "00"}, {"x-phoenix-signature": "\u00e9"}):
            with pytest.raises(InvalidRequest):
                await wallet.webhook(wrong, body)
        with pytest.raises(InvalidRequest):
            await wallet.webhook(headers, body.replace(b"21", b"99"))
        with pytest.raises(InvalidRequest):
            await wallet.webhook({}, b"no JSON")
        unproven = Phoenixd(evolve(settings, webhook_secret=None), host)
        assert await unproven.webhook({}, body) == [Hint(ref)]
        for each in (wallet, unproven):
            await each.stop()


async def test_fractions_of_sats_are_refused() -> None:
    async with rig_of("phoenixd") as rig:
        wallet, server = wallet_of(rig)
        with pytest.raises(InvalidRequest):
            await wallet.invoice(NewDeposit("dep_1", 21_500, "memo", 600))
        assert not server.node.receivables
        await wallet.stop()


async def test_a_password_that_may_not_pay_has_not_paid() -> None:
    async with rig_of("phoenixd") as rig:
        wallet, server = wallet_of(rig)
        server.limited = True
        with pytest.raises(NotSent):
            await wallet.pay(payment())
        await wallet.stop()


async def test_a_wrong_path_says_nothing_about_a_payment() -> None:
    """phoenixd answers an unknown path with the status of an unknown payment."""
    async with rig_of("phoenixd") as rig:
        settings = PhoenixdSettings(f"{rig.server.url}/elsewhere", Secret(PASSWORD))
        wallet = Phoenixd(settings, host_for(settings))
        with pytest.raises(ProviderUnavailable):
            await wallet.payment("ab" * 32)
        with pytest.raises(ProviderUnavailable):
            await wallet.received("ab" * 32)
        await wallet.stop()
