"""Proving the books: whatever is changed behind their back is found and named, and balances can be written anew."""

import pytest
from sqlalchemy import delete, insert, text, update

from lightphon_core.ledger.audit import correct, verify
from lightphon_core.ledger.budgets import Period, set_budgets
from lightphon_core.ledger.commands import Capture
from lightphon_core.storage.schema import accounts, balances, budgets, credentials, entries, holds, postings

TAMPERED = [
    (update(balances).where(balances.c.account == "house").values(amount=11), "house: the balance is 11 msat, but"),
    (
        update(balances).where(balances.c.account == "wallet:u:card").values(amount=860),
        "wallet:u:card: the balance is 860 msat, but its postings sum to 900",
    ),
    (
        update(balances).where(balances.c.account == "wallet:u:card").values(held=0),
        "wallet:u:card: 0 msat are marked as held, but its holds sum to 300",
    ),
    (
        update(balances).where(balances.c.account == "wallet:u:card").values(may_be_negative=True),
        "wallet:u:card: the database lets it be negative",
    ),
    (delete(balances).where(balances.c.account == "clearing:test"), "clearing:test: the balance is 0 msat, but"),
    (
        insert(balances).values(account="wallet:x:card", amount=5, held=0, may_be_negative=False),
        "wallet:x:card: the balance is 5 msat, but its postings sum to 0",
    ),
    (delete(holds), "wallet:u:card: 300 msat are marked as held, but its holds sum to 0"),
    (update(holds).values(card=301), "wallet:u:card: 300 msat are marked as held, but its holds sum to 301"),
    (update(holds).values(earned=7), "wallet:u:earned: 0 msat are marked as held, but its holds sum to 7"),
    (update(budgets).values(held=1), "k: 1 msat of its day budget are marked as held, but its holds sum to 300"),
    (
        update(holds).values(credential_id=None),
        "k: 300 msat of its day budget are marked as held, but its holds sum to 0",
    ),
    (update(holds).values(account_id="y"), "wallet:y:card: 0 msat are marked as held, but its holds sum to 300"),
]
BEHIND_THE_TRIGGERS = [
    (update(postings).where(postings.c.credit == "house").values(amount=11), "house: the balance is 10 msat, but"),
    (update(postings).where(postings.c.credit == "house").values(credit="me"), "me: the balance is 0 msat, but"),
    (delete(postings).where(postings.c.credit == "house"), "house: the balance is 10 msat, but its postings sum to 0"),
    (delete(postings), "has no postings"),
    (update(entries).values(note="other"), None),
]


@pytest.fixture
def traded(books, take):
    """Books with a deposit of 1,000, a charge of 100 and a hold of 300, whose key has a budget."""
    with books.database.transaction() as connection:
        connection.execute(insert(accounts).values(id="u", name="u", created_at=1))
        key = {"id": "k", "account_id": "u", "kind": "api_key", "name": "", "secret_hash": "k", "hint": ""}
        connection.execute(insert(credentials).values(**key, created_at=1))
        set_budgets(connection, "k", {Period.DAY: 900}, clock=books.clock)
    books.fund("u", 1_000, "card")
    books.one(take("h1", 100))
    books.one(Capture("h1", 100))
    books.one(take("h2", 300, credential="k"))
    return books


@pytest.mark.parametrize(("statement", "problem"), TAMPERED)
def test_what_was_changed_is_named_and_put_right(traded, statement, problem):
    before = (traded.balances(), traded.held())
    with traded.database.transaction() as connection:
        connection.execute(statement)
        problems = verify(connection)
        assert any(line.startswith(problem) for line in problems), problems
        if statement.table is holds:
            connection.rollback()
            return
        assert correct(connection) == problems
        assert verify(connection) == []
    assert (traded.balances(), traded.held()) == before


@pytest.mark.parametrize(("statement", "problem"), BEHIND_THE_TRIGGERS)
def test_a_journal_that_was_forged_does_not_match(traded, statement, problem):
    with traded.database.transaction() as connection:
        for table in ("entries", "postings"):
            if traded.database.path is None:
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            else:
                connection.execute(text(f"DROP TRIGGER {table}_update"))
                connection.execute(text(f"DROP TRIGGER {table}_delete"))
        connection.execute(statement)
        problems = verify(connection)
        assert (problems == []) if problem is None else any(problem in line for line in problems), problems
        connection.rollback()


def test_a_posting_without_its_entry_is_found(traded):
    if traded.database.path is not None:
        with traded.database.transaction() as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            connection.execute(insert(postings).values(_posting("ent_none")))
            assert "a: a posting belongs to no entry (ent_none)" in verify(connection)
            connection.rollback()
        return
    with traded.database.transaction() as connection:
        connection.execute(text("ALTER TABLE postings DROP CONSTRAINT fk_postings_entry_id_entries"))
        connection.execute(insert(postings).values(_posting("ent_none")))
        assert "a: a posting belongs to no entry (ent_none)" in verify(connection)
        connection.rollback()


def _posting(entry):
    return {"entry_id": entry, "place": 0, "debit": "a", "credit": "b", "amount": 1, "at": 1}


def test_books_that_are_right_are_left_as_they_are(traded):
    before = (traded.balances(), traded.held())
    with traded.database.transaction() as connection:
        assert correct(connection) == []
    assert (traded.balances(), traded.held()) == before
