"""Deposits by real payments."""

from __future__ import annotations

import bolt11
import pytest
from lightphon_payment_lightning.wallets.electrum import Electrum, ElectrumSettings

from lightphon_core import Gone, NewDeposit, Secret, Waiting
from lightphon_core.testing import host_for
from lightphon_core.testing.process import until

pytestmark = pytest.mark.regtest


def test_a_payment_is_credited_once_and_to_the_millisatoshi(ann, server, network, books):
    opened = ann.person.ask("POST", "/api/deposits", {"amount_sats": 50_000})
    path = f"/api/deposits/{opened['id']}"
    assert (opened["status"], ann.has()) == ("open", 0)

    assert network.person.pay(opened["invoice"])
    deposit = until(lambda: (found := ann.person.ask("GET", path))["status"] == "settled" and found, "it is settled")

    assert (deposit["received_msat"], ann.has()) == (50_000_000, 50_000_000)
    books.check()
    # Another look, after a restart, finds the same payment and credits nothing.
    server.stop()
    server.start()
    assert ann.person.ask("GET", path) == deposit
    assert ann.has() == 50_000_000
    books.check()


def test_what_was_paid_while_the_server_was_down_is_credited_when_it_is_up(ann, server, network, books):
    opened = ann.person.ask("POST", "/api/deposits", {"amount_sats": 7_000})
    server.kill()
    assert network.person.pay(opened["invoice"])

    server.start()
    until(lambda: ann.has() == 7_000_000, "the deposit is credited")
    books.check()


async def test_an_expired_request_is_not_paid_and_stays_without_money(network):
    settings = ElectrumSettings(network.house.rpc.url, network.house.rpc.user, Secret(network.house.rpc.password))
    house = Electrum(settings, host_for(None))
    before = network.house.has(), network.person.has()
    invoice = await house.invoice(NewDeposit("dep_1", 5_000_000, "late", 1))
    payment_hash = bolt11.decode(invoice).payment_hash
    until(lambda: network.house.call("get_request", request_id=payment_hash)["status"] == 1, "it has expired")

    with pytest.raises(RuntimeError, match="expired"):
        network.person.pay(invoice)

    assert await house.received(payment_hash) == Waiting()
    assert await house.received("00" * 32) == Gone()
    assert (network.house.has(), network.person.has()) == before
    await house.stop()
