"""The commands for money, on each kind of database, as a person and as a script meets them."""

import json

import pytest
from sqlalchemy import update

from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import balances


@pytest.fixture
def run(run, database_url, monkeypatch):
    """The command line on an empty database of each kind."""
    monkeypatch.setenv("LIGHTPHON_STORAGE_URL", database_url)
    return run


@pytest.fixture
def alice(run):
    return as_json(run("account", "create", "alice", "--json"))["id"]


def as_json(result):
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_from_credit_to_statement(run, alice):
    assert "alice has 12.5 sats available now" in run("account", "credit", "alice", "12.5", "--reason", "hello").stdout
    taken = as_json(run("account", "debit", "alice", "0.001", "--reason", "a slip", "--json"))
    assert (taken["account"], taken["available_msat"]) == ("alice", 12_499)
    shown = as_json(run("ledger", "show", "alice", "--json"))
    assert (shown["available_msat"], shown["held_msat"], shown["pending_msat"]) == (12_499, 0, 0)
    assert shown["by_origin_msat"] == {"granted": 12_499, "card": 0, "lightning": 0, "earned": 0}
    newest, first = shown["entries"]
    assert newest["id"] == taken["entry"]
    assert (newest["amount_msat"], newest["kind"], newest["note"]) == (-1, "adjustment", "a slip")
    assert (first["amount_msat"], first["note"]) == (12_500, "hello")
    assert newest["at"].endswith("Z")
    assert len(as_json(run("ledger", "show", "alice", "--limit", "1", "--json"))["entries"]) == 1
    table = run("ledger", "show", "alice").stdout.splitlines()
    assert table[0].split() == ["Available", "12.499", "sats"]
    assert table[3].split() == ["Owed", "0", "sats"]
    assert table[5].split() == ["AT", "SATS", "KIND", "NOTE", "ENTRY"]
    assert "-0.001  adjustment  a slip" in table[6]


def test_the_ledgers_own_accounts(run, alice):
    run("account", "credit", "alice", "2", "--reason", "hello")
    shown = as_json(run("ledger", "show", "adjustments", "--json"))
    assert (shown["balance_msat"], [line["amount_msat"] for line in shown["entries"]]) == (-2_000, [-2_000])
    assert as_json(run("ledger", "show", f"wallet:{alice}:granted", "--json"))["balance_msat"] == 2_000
    assert as_json(run("ledger", "show", "house", "--json")) == {"account": "house", "balance_msat": 0, "entries": []}
    assert run("ledger", "show", "adjustments").stdout.startswith("Balance     -2 sats\n")


def test_books_are_proved_and_mended(run, alice, database_url):
    run("account", "credit", "alice", "2", "--reason", "hello")
    assert run("ledger", "verify").stdout == "The books are right.\n"
    assert as_json(run("ledger", "verify", "--json")) == {"ok": True, "problems": []}
    name = f"wallet:{alice}:granted"
    with Database(database_url) as database, database.transaction() as connection:
        connection.execute(update(balances).where(balances.c.account == name).values(amount=5_000))
    problem = f"{name}: the balance is 5000 msat, but its postings sum to 2000"
    assert run("ledger", "verify", status=1).stdout == f"{problem}\n"
    assert as_json(run("ledger", "verify", "--json", status=1)) == {"ok": False, "problems": [problem]}
    assert run("ledger", "rebuild").stdout == f"{problem}\n"
    assert run("ledger", "rebuild").stdout == "The books were right.\n"
    run("ledger", "verify")
    assert as_json(run("ledger", "show", "alice", "--json"))["available_msat"] == 2_000


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["account", "credit", "alice", "1"], "Missing option '--reason'"),
        (["account", "credit", "alice", "1", "--reason", " "], "A reason has 1 to 200 printable characters"),
        (["account", "credit", "alice", "0", "--reason", "x"], "An amount that moves is not 0"),
        (["account", "credit", "alice", "0.0001", "--reason", "x"], "no finer than 0.001"),
        (["account", "credit", "alice", "1e3", "--reason", "x"], "is written as 12 or 0.5"),
        (["account", "credit", "alice", "100000000000001", "--reason", "x"], "An amount is from 0 to"),
        (["account", "credit", "bob", "1", "--reason", "x"], "There is no account named 'bob'"),
        (["account", "debit", "alice", "1", "--reason", "x"], "has 0 msat, not 1000"),
        (["ledger", "show", "bob"], "There is no account named 'bob'"),
        (["ledger", "show", "wallet:bob:card"], "The ledger has no account 'wallet:bob:card'"),
    ],
)
def test_refusals(run, alice, args, message):
    assert message in run(*args, status=2).stderr
    assert as_json(run("ledger", "show", "alice", "--json"))["entries"] == []


def test_a_database_that_cannot_be_reached(run, monkeypatch):
    monkeypatch.setenv("LIGHTPHON_STORAGE_URL", "postgresql://me:hush@127.0.0.1:9/books")
    shown = run("ledger", "verify", status=2).stderr
    assert shown.startswith("Error: The database postgresql://127.0.0.1:9/books cannot be opened: ")
    assert "hush" not in shown
    assert shown.count("\n") == 1
