"""Migrations: they lead to the schema that the code describes, and to no newer one; and what the database refuses."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, func, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from lightphon_core.errors import StorageError
from lightphon_core.money import MAX_MSAT
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.storage.migrations import scripts
from lightphon_core.storage.revisions import known, newest
from lightphon_core.storage.schema import APPEND_ONLY, balances, entries, metadata, postings


@pytest.fixture
def empty(empty_database_url):
    with Database(empty_database_url) as database:
        yield database


def definitions(connection):
    """Every table as the database reports it: columns, keys, checks and indexes, by name."""
    found = inspect(connection)
    parts = ("columns", "pk_constraint", "foreign_keys", "unique_constraints", "check_constraints", "indexes")

    def plain(part):
        if isinstance(part, dict):
            return {name: plain(value) for name, value in part.items()}
        if isinstance(part, list) and part:
            return sorted(map(plain, part), key=lambda each: each["name"]) if isinstance(part[0], dict) else part
        return str(part)

    return {
        table: {part: plain(getattr(found, f"get_{part}")(table) or None) for part in parts}
        for table in found.get_table_names()
        if table != "alembic_version"
    }


def test_migrations_lead_to_the_schema(empty, database):
    with database.transaction() as connection:  # made by migrations
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        migrated = definitions(connection)
    # Autogenerate does not look at checks and the names of constraints, so the definitions are compared as well.
    with empty.transaction() as connection:
        metadata.create_all(connection)
        assert definitions(connection) == migrated
    assert set(migrated) == set(metadata.tables)
    assert [check["name"] for check in migrated["balances"]["check_constraints"]] == [
        "ck_balances_bounds",
        "ck_balances_held",
    ]


def test_their_order_is_that_of_their_names():
    # The names are read where Alembic would take too long to load.
    _, directory = scripts()
    assert known() == [script.revision for script in reversed(list(directory.walk_revisions()))]
    assert newest() == directory.get_current_head()


def test_migrating_again_changes_nothing(empty):
    migrate(empty)
    with empty.transaction() as connection:
        connection.execute(text("INSERT INTO accounts (id, name, created_at) VALUES ('acc_1', 'alice', 1)"))
        before = definitions(connection)
    migrate(empty)
    with empty.transaction() as connection:
        assert connection.scalar(text("SELECT name FROM accounts")) == "alice"
        assert definitions(connection) == before


def test_the_way_back_leaves_nothing(empty):
    migrate(empty)
    with empty.transaction() as connection:
        config, _ = scripts()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
    migrate(empty)  # not even a function is in its way


def test_two_that_start_together_migrate_one_after_the_other(empty, empty_database_url):
    barrier = threading.Barrier(4)

    def start():
        with Database(empty_database_url) as database:
            barrier.wait(20)
            migrate(database)

    with ThreadPoolExecutor(4) as pool:
        for started in [pool.submit(start) for _ in range(4)]:
            started.result(60)
    with empty.snapshot() as connection:
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


def test_a_newer_schema_is_refused_and_left_alone(database):
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="written by a newer LightPhon"):
        migrate(database)
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(empty):
    with empty.transaction() as connection:
        connection.execute(text("CREATE TABLE credentials (x INTEGER)"))  # the second table of the first migration
    with pytest.raises(StorageError, match=r"could not be migrated: .*credentials.* already exists"):
        migrate(empty)
    with empty.transaction() as connection:
        assert inspect(connection).get_table_names() == ["credentials"]


ENTRY = {"id": "ent_1", "kind": "k", "source": "s", "external_id": "x", "note": "", "at": 1}
POSTING = {"entry_id": "ent_1", "place": 0, "debit": "a", "credit": "b", "amount": 5, "at": 1}
WALLET = {"account": "wallet:a:card", "amount": 5, "held": 5, "may_be_negative": False}
CLEARING = {"account": "clearing:x", "amount": -5, "held": 0, "may_be_negative": True}


@pytest.fixture
def written(database):
    """A database with one entry of one posting, and two balances."""
    with database.transaction() as connection:
        for table, row in ((entries, ENTRY), (postings, POSTING), (balances, WALLET), (balances, CLEARING)):
            connection.execute(insert(table).values(row))
    return database


@pytest.mark.parametrize("table", [entries, postings], ids=str)
def test_the_database_itself_refuses_to_change_the_journal(written, table):
    with written.snapshot() as connection:
        before = connection.execute(select(table)).all()
    attempts = [update(table).values(at=2), delete(table), delete(table).where(table.c.at == 1)]
    if written.path is not None:
        replacement = {entries: "('ent_1', 'other', 's', 'x', '', 1)", postings: "('ent_1', 0, 'a', 'b', 6, 1)"}[table]
        attempts.append(text(f"INSERT OR REPLACE INTO {table} VALUES {replacement}"))
    else:
        attempts.append(text(f"TRUNCATE {table} CASCADE"))
    for attempt in attempts:
        with pytest.raises(DBAPIError, match=r"are never changed"), written._writer.begin() as connection:
            connection.execute(attempt)
    with written.snapshot() as connection:
        assert connection.execute(select(table)).all() == before


def test_every_journal_table_is_guarded():
    assert set(APPEND_ONLY) == {"entries", "postings"}


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (entries, {**ENTRY, "id": "ent_2"}),  # the same external id
        (postings, {**POSTING, "place": 1, "amount": 0}),
        (postings, {**POSTING, "place": 1, "amount": -1}),
        (postings, {**POSTING, "place": 1, "amount": MAX_MSAT + 1}),
        (postings, {**POSTING, "place": 1, "credit": "a"}),  # from an account to itself
        (postings, {**POSTING, "entry_id": "ent_none"}),
        (postings, POSTING),
        (balances, {**WALLET, "account": "w", "amount": -1, "held": 0}),
        (balances, {**WALLET, "account": "w", "held": 6}),
        (balances, {**WALLET, "account": "w", "held": -1}),
        (balances, {**CLEARING, "account": "c", "amount": -MAX_MSAT - 1}),
        (balances, {**CLEARING, "account": "c", "amount": MAX_MSAT + 1}),
        (balances, WALLET),
    ],
)
def test_the_database_itself_refuses_what_cannot_be(written, table, row):
    with pytest.raises(IntegrityError), written.transaction() as connection:
        connection.execute(insert(table).values(row))


def test_the_largest_amounts_fit(written):
    with written.transaction() as connection:
        connection.execute(insert(postings).values({**POSTING, "place": 1, "amount": MAX_MSAT}))
        connection.execute(insert(balances).values({**CLEARING, "account": "low", "amount": -MAX_MSAT}))
        connection.execute(insert(balances).values({**WALLET, "account": "high", "amount": MAX_MSAT}))
        assert connection.scalar(select(func.max(postings.c.amount))) == MAX_MSAT
