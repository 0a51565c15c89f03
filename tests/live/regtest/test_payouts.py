"""Payouts by real payments, through a hub that takes a fee; and all that may come between."""

from __future__ import annotations

import bolt11
import pytest

from lightphon_core.testing.process import until

pytestmark = pytest.mark.regtest


def test_a_payout_costs_its_amount_and_the_real_fee(ann, network, books):
    ann.deposits(60_000)

    paid = ann.ended(ann.withdraws(network.person.invoice(20_000)))

    assert paid["status"] == "paid"
    assert 0 < paid["fee_msat"] <= paid["fee_cap_msat"]
    assert ann.has() == 60_000_000 - 20_000_000 - paid["fee_msat"]
    assert books.gained(network.hub) > 0
    books.check()


def test_an_expired_invoice_is_refused_and_nothing_moves(ann, network, books):
    ann.deposits(6_000)
    invoice = network.person.invoice(2_000, expires_in_s=1)
    until(bolt11.decode(invoice).has_expired, "the invoice has expired")

    with pytest.raises(RuntimeError, match=r"400: .*expired"):
        ann.withdraws(invoice)

    assert ann.has() == 6_000_000
    books.check()


def test_more_than_the_channels_hold_fails_and_all_comes_back(ann, network, books):
    books.give(ann, 3_000_000)

    failed = ann.ended(ann.withdraws(network.person.invoice(1_900_000)))

    assert (failed["status"], failed["fee_msat"]) == ("failed", None)
    assert ann.has() == 3_000_000_000
    assert books.gained(network.person) == 0
    books.check()


def test_a_payout_fails_while_the_peer_is_down_and_passes_when_it_is_back(ann, network, books):
    ann.deposits(40_000)
    first, second = network.person.invoice(10_000), network.person.invoice(10_000)
    with network.without_the_hub():
        failed = ann.ended(ann.withdraws(first))
        assert failed["status"] == "failed"
        assert ann.has() == 40_000_000

    assert ann.ended(ann.withdraws(second))["status"] == "paid"
    books.check()


def test_a_payout_that_outlasts_the_wait_is_unknown_until_it_has_ended(ann, network, books):
    ann.deposits(50_000)
    taken, refused = network.person.hold_invoice(20_000), network.person.hold_invoice(10_000)
    ids = ann.withdraws(taken.text), ann.withdraws(refused.text)

    doubtful = [ann.reaches(each, "unknown", "paid", "failed") for each in ids]
    assert [each["status"] for each in doubtful] == ["unknown", "unknown"]
    assert ann.has() == 50_000_000 - sum(each["amount_msat"] + each["fee_cap_msat"] for each in doubtful)

    network.person.settle(taken)
    network.person.cancel(refused)
    paid, failed = (ann.ended(each) for each in ids)
    assert (paid["status"], failed["status"]) == ("paid", "failed")
    assert ann.has() == 50_000_000 - 20_000_000 - paid["fee_msat"]
    books.check()


@pytest.mark.parametrize("before_the_restart", [True, False])
@pytest.mark.parametrize("succeeds", [True, False])
def test_a_server_killed_while_a_payout_is_under_way_finds_out_what_came_of_it(
    ann, server, network, books, succeeds, before_the_restart
):
    ann.deposits(50_000)
    invoice = network.person.hold_invoice(20_000)
    payout = ann.withdraws(invoice.text)
    network.until_held(invoice)
    assert ann.payout(payout)["status"] == "submitted"
    server.kill()

    decide = network.person.settle if succeeds else network.person.cancel
    if before_the_restart:
        decide(invoice)
    server.start()
    if not before_the_restart:
        assert ann.reaches(payout, "unknown", "paid", "failed")["status"] == "unknown"
        decide(invoice)

    ended = ann.ended(payout)
    assert ended["status"] == ("paid" if succeeds else "failed")
    assert ann.has() == 50_000_000 - (20_000_000 + ended["fee_msat"] if succeeds else 0)
    books.check()


@pytest.mark.parametrize("log_is_lost", [False, True])
def test_an_old_backup_pays_nothing_twice(ann, server, network, books, tmp_path, log_is_lost):
    ann.deposits(80_000)
    server.command("backup", tmp_path / "old.db")
    invoice = network.person.invoice(30_000)
    assert ann.ended(ann.withdraws(invoice))["status"] == "paid"
    left = ann.has()
    server.stop()
    server.command("restore", tmp_path / "old.db")
    if log_is_lost:
        (server.data_dir / "payouts.jsonl").unlink()
    server.start()

    # The books know nothing of the payout.
    assert ann.has() == 80_000_000
    waiting = ann.withdraws(network.person.invoice(5_000))
    administrator = server.administrator()
    assert [each["provider"] for each in administrator.ask("GET", "/api/admin/payouts")["freezes"]] == ["lightning"]
    assert ann.payout(waiting)["status"] == "held"
    found = administrator.ask("POST", "/api/admin/payouts/reconcile", {})
    # What others have paid from this wallet is explained as the operator's own.
    unexplained = {each["ref"]: each["amount_msat"] for each in found["unexplained"]}
    ref = bolt11.decode(invoice).payment_hash
    assert unexplained.pop(ref, None) == (30_000_000 if log_is_lost else None)
    restored = found["restored"]
    assert (found["freeze"] is None) is (not found["unexplained"])
    assert found["freeze"] is not None or not log_is_lost
    explained = {"adopt": {ref: ann.person.name} if log_is_lost else {}, "ours": list(unexplained)}
    if found["freeze"] is not None:
        found = administrator.ask("POST", "/api/admin/payouts/reconcile", explained)
        restored += found["restored"]
    assert (found["unexplained"], found["freeze"]) == ([], None)

    (again,) = restored
    assert ann.ended(again["id"])["status"] == "paid"
    last = ann.ended(waiting)
    assert last["status"] == "paid"
    assert ann.has() == left - 5_000_000 - last["fee_msat"]
    books.check()
    with pytest.raises(RuntimeError, match="400"):
        ann.withdraws(invoice)
    assert "The books are right." in server.command("ledger", "verify")
