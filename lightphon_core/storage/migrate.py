"""Bring a database to this version's schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DatabaseError

from lightphon_core.errors import StorageError
from lightphon_core.storage.engine import Database, reason


def scripts() -> tuple[Config, ScriptDirectory]:
    """The migrations, and the configuration to run them with."""
    config = Config(attributes={})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)


def migrate(database: Database) -> None:
    """Run the migrations that `database` lacks, all or none of them. Nothing happens where it lacks none.

    Raises:
        StorageError: the database was written by a newer version, or a migration failed.
        StorageUnavailable: another process holds it.
    """
    config, directory = scripts()
    known = {script.revision for script in directory.walk_revisions()}
    # The transaction waits for its turn at once, so two processes that start together migrate one after the other.
    with database.transaction() as connection:
        current = set(MigrationContext.configure(connection).get_current_heads())
        if not current <= known:
            raise StorageError(
                f"The database {database.name} was written by a newer LightPhon (schema {', '.join(sorted(current))}). "
                "Install that version, or restore a backup from before the upgrade."
            )
        if current != set(directory.get_heads()):
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except DatabaseError as error:
                raise StorageError(f"The database {database.name} could not be migrated: {reason(error)}.") from error
