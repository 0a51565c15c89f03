"""The schemas that this version knows, oldest to newest, and the one that a database has."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from lightphon_core.errors import StorageError


def scripts() -> tuple[Config, ScriptDirectory]:
    """The migrations, and the configuration to run them with."""
    config = Config(attributes={})
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)


def newest() -> str:
    """The schema that this version works with, such as "0004"."""
    return str(scripts()[1].get_current_head())


def current(connection: Connection) -> str | None:
    """The schema that a database has; None where it has none.

    Raises:
        StorageError: it has several: somebody else's migrations ran on it.
    """
    found = MigrationContext.configure(connection).get_current_heads()
    if len(found) > 1:
        raise StorageError(f"The database has several schemas ({', '.join(sorted(found))}). Restore a backup.")
    return found[0] if found else None


def check_known(schema: str, name: str) -> None:
    """Pass the schema of the database `name` if this version knows it.

    Raises:
        StorageError: a newer version wrote it.
    """
    if schema not in {script.revision for script in scripts()[1].walk_revisions()}:
        raise StorageError(
            f"The database {name} was written by a newer LightPhon (schema {schema}). "
            "Install that version, or restore a backup from before the upgrade."
        )
