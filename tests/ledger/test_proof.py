"""A proof of the books: what there is, is what is owed and the house's own; one at a time."""

import asyncio
import threading

import pytest
from sqlalchemy import insert, update

from lightphon_core.ledger import adjustment, chart, prover
from lightphon_core.ledger.audit import correct
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import Capture, Post, Posting
from lightphon_core.ledger.proof import prove
from lightphon_core.ledger.prover import Prover
from lightphon_core.storage.schema import balances


def proof_of(books):
    with books.database.snapshot() as connection:
        return prove(connection)


def test_each_account_of_the_ledger_is_in_one_sum(books, take):
    books.fund("u", 1_000, Origin.CARD, clearing="card")
    books.fund("u", 5_000, Origin.LIGHTNING, clearing="lightning")
    books.one(adjustment.credit("u", 300, "a gift"))
    books.one(take("h1", 100, payee="n", house_bps=1_000))
    books.one(Capture("h1", 100))  # of what was granted: 90 for the node's owner, 10 for the house
    books.one(take("h2", 40))
    moved = (
        Posting(chart.wallet("u", Origin.LIGHTNING), chart.payout("u"), 700),
        Posting(chart.receivable("v"), chart.wallet("v", Origin.CARD), 20),
        Posting(chart.ROUTING_FEES, chart.clearing("lightning"), 3),
    )
    books.one(Post("test", "test", "moved", moved))
    proof = proof_of(books)
    found = proof.totals
    assert proof.is_right, proof.problems
    assert (proof.entries, proof.open_holds) == (5, 1)
    assert found.wallets == {"card": 1_020, "lightning": 4_300, "granted": 200}
    assert (found.held, found.earnings, found.payouts, found.house) == (40, 90, 700, 10)
    assert (found.adjustments, found.receivable, found.fees) == (-300, -20, {"routing": -3})
    assert found.clearing == {"card": -1_000, "lightning": -4_997}
    assert (found.assets, found.liabilities, found.own) == (6_017, 6_310, -293)
    assert found.assets == found.liabilities + found.own
    assert found.other == 0


def test_what_is_out_of_balance_is_not_right(books):
    books.fund("u", 1_000)
    with books.database.transaction() as connection:
        connection.execute(update(balances).where(balances.c.account == "clearing:test").values(amount=-999))
    proof = proof_of(books)
    assert not proof.is_right
    assert not proof.totals.is_balanced
    assert proof.problems == ["clearing:test: the balance is -999 msat, but its postings sum to -1000"]
    with books.database.transaction() as connection:  # balanced, and wrong all the same
        row = {"account": "mystery", "amount": -1, "held": 0, "may_be_negative": True}
        connection.execute(insert(balances).values(row))
    proof = proof_of(books)
    assert (proof.totals.is_balanced, proof.totals.other, proof.is_right) == (True, -1, False)
    with books.database.transaction() as connection:
        correct(connection)


async def test_one_proof_at_a_time_which_all_share(books, monkeypatch):
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def slow(connection):
        calls.append(connection)
        begun.set()
        assert go_on.wait(20)
        return prove(connection)

    monkeypatch.setattr(prover, "prove", slow)
    asked = Prover(books.database)
    assert asked.latest is None
    waiting = [asyncio.create_task(asked.prove()) for _ in range(20)]
    assert await asyncio.to_thread(begun.wait, 20)
    waiting[0].cancel()  # whoever stops waiting takes it from nobody
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    late = asyncio.create_task(asked.prove())
    await asyncio.sleep(0)
    go_on.set()
    proofs = await asyncio.gather(*waiting[1:], late)
    assert all(proof is proofs[0] for proof in proofs)
    assert len(calls) == 1
    assert asked.latest is proofs[0]
    assert (await asked.prove()).is_right
    assert len(calls) == 2  # a new one, once the last has ended


async def test_a_database_that_does_not_answer_is_asked_again(books, monkeypatch):
    asked = Prover(books.database)

    def broken(_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(prover, "prove", broken)
        with pytest.raises(ZeroDivisionError):
            await asked.prove()
    assert asked.latest is None
    assert (await asked.prove()).is_right
