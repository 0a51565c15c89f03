"""Bring a database to this version's schema, and keep a copy of what it was before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from lightphon_core.errors import StorageError, said_by
from lightphon_core.storage.backup import PARTIAL, back_up
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.engine import Database, reason
from lightphon_core.storage.revisions import check_known, current, newest

BACKUPS_KEPT = 5
_PREFIX = "before-migration-"

log = structlog.stdlib.get_logger("lightphon.storage")


def migrate(database: Database, *, backups: Path | None = None) -> None:
    """Run the migrations that `database` lacks, all or none of them. Nothing happens where it lacks none.

    An SQLite database that has a schema is copied to the directory `backups` first, if one is given. The latest copies
    are kept there.

    Raises:
        StorageError: the database was written by a newer version, or could not be copied, or a migration failed.
        StorageUnavailable: another process holds it.
    """
    # The transaction waits for its turn at once, so two processes that start together migrate one after the other.
    with database.transaction() as connection:
        schema, wanted = current(connection), newest()
        if schema is not None:
            check_known(schema, database.name)
        if schema == wanted:
            return
        copy: Path | None = None
        if schema is not None and database.path is None:
            log.warning("migrating without a backup; make one with pg_dump before an upgrade", database=database.name)
        elif schema is not None and database.path is not None and backups is not None:
            copy = _before(database.path, backups, schema, datetime.fromtimestamp(database_now(connection) / 1e6, UTC))
        try:
            _upgrade(connection)
        except DatabaseError as error:
            # The database stays as it is. Without the copy, whoever tries again and again loses none of the older ones.
            if copy is not None:
                copy.unlink(missing_ok=True)
            raise StorageError(f"The database {database.name} could not be migrated: {reason(error)}.") from error
    if schema is not None:
        log.info("migrated", database=database.name, before=schema, now=wanted, backup=str(copy) if copy else None)
    if copy is not None:
        _forget_old(copy.parent)


def _upgrade(connection: Connection) -> None:
    from alembic import command

    from lightphon_core.storage.migrations import scripts

    config, _ = scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _before(database: Path, backups: Path, schema: str, at: datetime) -> Path:
    """Copy a database that is about to be migrated. We hold its writers up, so the copy is what will be migrated."""
    target = backups / f"{_PREFIX}{at:%Y%m%dT%H%M%SZ}-schema-{schema}.db"
    try:
        backups.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in backups.glob(f"{_PREFIX}*{PARTIAL}*"):  # by a process that was killed
            left.unlink(missing_ok=True)
        return back_up(database, target, overwrite=True).path
    except OSError as error:
        raise StorageError(f"{backups}: {said_by(error)} {_NOT_MIGRATED}") from error
    except StorageError as error:
        raise StorageError(f"{error.message} {_NOT_MIGRATED}") from error


_NOT_MIGRATED = "Without a backup nothing is migrated: the database is as it was."


def _forget_old(backups: Path) -> None:
    """Remove all but the latest copies. Their names sort by time."""
    for old in sorted(backups.glob(f"{_PREFIX}*.db"))[:-BACKUPS_KEPT]:
        old.unlink(missing_ok=True)
