"""Migrations: they lead to the schema that the code describes, and to no newer one."""

import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from lightphon_core.errors import StorageError
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.storage.schema import metadata


@pytest.fixture
def database(tmp_path):
    with Database(f"sqlite:///{tmp_path}/lightphon.db") as database:
        yield database


def definitions(connection):
    """Every table and index as SQLite holds it, with spaces and the order of a table's parts put aside."""
    rows = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")
    )
    return {name: sorted(re.sub(r"\s+", " ", part).strip(" ()") for part in sql.split(",")) for name, sql in rows}


def test_migrations_lead_to_the_schema(database, tmp_path):
    migrate(database)
    with database.transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        migrated = definitions(connection)
    # Autogenerate does not look at checks and the names of constraints, so the definitions are compared as well.
    with Database(f"sqlite:///{tmp_path}/made.db") as made, made.transaction() as connection:
        metadata.create_all(connection)
        assert definitions(connection) == migrated
    assert {"accounts", "credentials", "ix_credentials_account_id"} <= set(migrated)


def test_migrating_again_changes_nothing(database):
    migrate(database)
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO accounts VALUES ('acc_1', 'alice', 1)"))
        version = connection.scalar(text("PRAGMA schema_version"))
    migrate(database)
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT name FROM accounts")) == "alice"
        assert connection.scalar(text("PRAGMA schema_version")) == version


def test_a_newer_schema_is_refused_and_left_alone(database):
    migrate(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="written by a newer LightPhon"):
        migrate(database)
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(database):
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE credentials (x)"))  # the second table of the first migration
    with pytest.raises(StorageError, match="could not be migrated: table credentials already exists"):
        migrate(database)
    with database.transaction() as connection:
        assert inspect(connection).get_table_names() == ["credentials"]
