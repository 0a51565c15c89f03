"""The schemas that this version knows, oldest to newest, and the one that a database has.

Read from the names of the migrations, and from the table that Alembic keeps: what a command does on a database that is
up to date needs no Alembic, which takes longer to load than most of them take to run.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

from lightphon_core.errors import StorageError

_MIGRATIONS = Path(__file__).with_name("migrations") / "versions"
_VERSION = table("alembic_version", column("version_num"))


def known() -> list[str]:
    """Every schema that this version knows, such as "0004", oldest to newest."""
    return sorted(path.name.partition("_")[0] for path in _MIGRATIONS.glob("[0-9]*_*.py"))


def newest() -> str:
    """The schema that this version works with, such as "0004"."""
    return known()[-1]


def current(connection: Connection) -> str | None:
    """The schema that a database has; None where it has none.

    Raises:
        StorageError: it has several: somebody else's migrations ran on it.
    """
    if not inspect(connection).has_table(_VERSION.name):
        return None
    found = connection.scalars(select(_VERSION.c.version_num)).all()
    if len(found) > 1:
        raise StorageError(f"The database has several schemas ({', '.join(sorted(found))}). Restore a backup.")
    return str(found[0]) if found else None


def check_known(schema: str, name: str) -> None:
    """Pass the schema of the database `name` if this version knows it.

    Raises:
        StorageError: a newer version wrote it.
    """
    if schema not in known():
        raise StorageError(
            f"The database {name} was written by a newer LightPhon (schema {schema}). "
            "Install that version, or restore a backup from before the upgrade."
        )
