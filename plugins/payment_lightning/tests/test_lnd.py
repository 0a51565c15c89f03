"""What is LND's own."""

import ssl
from pathlib import Path

import pytest
import trustme
from lightphon_payment_lightning.testing.lnd import MACAROON, LndServer
from lightphon_payment_lightning.testing.node import invoice_over
from lightphon_payment_lightning.testing.rigs import Rig, rig_of
from lightphon_payment_lightning.wallets.lnd import Lnd, LndSettings

from lightphon_core import Failed, Gone, NewDeposit, NotKnown, NotSent, Payment, ProviderUnavailable, Secret
from lightphon_core.testing import host_for

AMOUNT = 21_000
REF, INVOICE = invoice_over(AMOUNT)
PAYMENT = Payment("pay_1", REF, INVOICE, AMOUNT, 5_000)


def wallet_of(rig: Rig) -> tuple[Lnd, LndServer]:
    wallet, server = rig.wallet(), rig.server
    assert isinstance(wallet, Lnd)
    assert isinstance(server, LndServer)
    return wallet, server


async def test_a_fee_above_the_cap_is_not_paid() -> None:
    async with rig_of("lnd") as rig:
        wallet, server = wallet_of(rig)
        server.node.fee = 5_001
        state = await wallet.pay(PAYMENT)
        assert state == Failed("There is no route to the recipient within the fee cap.")
        await wallet.stop()


async def test_what_lnd_refuses_before_it_begins_has_failed_without_its_words() -> None:
    async with rig_of("lnd") as rig:
        wallet, server = wallet_of(rig)
        server.refuses_to_pay = "expired"
        state = await wallet.pay(PAYMENT)
        assert isinstance(state, Failed)
        assert "2026" not in state.reason, "the daemon's own words are not shown"
        await wallet.stop()


async def test_a_wrong_path_says_nothing_about_a_payment() -> None:
    """LND answers an unknown path with the status and the code of an unknown payment."""
    async with rig_of("lnd") as rig:
        host = host_for(None)
        wallet = Lnd(LndSettings(f"{rig.server.url}/elsewhere", Secret(MACAROON)), host)
        with pytest.raises(ProviderUnavailable):
            await wallet.payment(REF)
        with pytest.raises(ProviderUnavailable):
            await wallet.received(REF)
        right, _ = wallet_of(rig)
        assert await right.payment(REF) == NotKnown()
        assert await right.received(REF) == Gone()
        await wallet.stop()
        await right.stop()


async def test_the_first_start_of_a_busy_node_reads_one_page() -> None:
    async with rig_of("lnd") as rig:
        wallet, server = wallet_of(rig)
        made = [server.node.receivable(AMOUNT) for _ in range(102)]
        server.node.receive(made[-1].payment_hash)
        events = wallet.settlements(None)
        assert (await anext(events)).change is None
        assert server.served == ["GET /v1/invoices"]
        await events.aclose()
        await wallet.stop()


async def test_settled_invoices_are_found_behind_a_page_of_unpaid_ones() -> None:
    async with rig_of("lnd") as rig:
        wallet, server = wallet_of(rig)
        made = [server.node.receivable(AMOUNT) for _ in range(102)]
        for each in made[:2]:
            server.node.receive(each.payment_hash)
        events = wallet.settlements(None)
        assert (await anext(events)).cursor == "lnd:2"
        await events.aclose()
        await wallet.stop()


async def test_tls_is_checked_against_the_certificate_of_the_settings(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    certificate, another = tmp_path / "tls.cert", tmp_path / "another.cert"
    authority.cert_pem.write_to_path(str(certificate))
    trustme.CA().cert_pem.write_to_path(str(another))
    async with LndServer(tls=context) as server:
        for path, works in ((certificate, True), (another, False), (None, False)):
            wallet = Lnd(LndSettings(server.url, Secret(MACAROON), path), host_for(None))
            if works:
                assert await wallet.payment(REF) == NotKnown()
                assert (await wallet.invoice(NewDeposit("dep_1", AMOUNT, "memo", 60))).startswith("lnbcrt")
            else:
                with pytest.raises(NotSent):
                    await wallet.pay(PAYMENT)
            await wallet.stop()
    assert not server.node.sent
