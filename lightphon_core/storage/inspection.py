"""A look at a database that changes nothing: it makes no file, migrates nothing, and leaves the file's mode alone."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError

from lightphon_core.errors import StorageError
from lightphon_core.storage import postgresql
from lightphon_core.storage.engine import reason
from lightphon_core.storage.location import Location
from lightphon_core.storage.sqlite_file import damage, open_existing


@contextlib.contextmanager
def looking_at(location: Location) -> Iterator[Connection]:
    """A connection that sees one snapshot of the database, and may not write.

    Raises:
        StorageError: it cannot be opened, or what is read from it cannot be had.
    """
    engine = _file(location) if location.path is not None else postgresql.connections(location).reader
    try:
        with engine.begin() as connection:
            yield connection
    except (DBAPIError, sqlite3.Error) as error:
        raise StorageError(f"The database {location.name} cannot be read: {reason(error)}.") from error
    finally:
        engine.dispose()


def fault_of(connection: Connection) -> str | None:
    """What is wrong with the structure of an SQLite file; None where nothing is, and on a server, which looks itself.

    Raises:
        sqlite3.Error: so much is wrong that it cannot be read.
    """
    file = connection.connection.driver_connection
    return damage(file, quick=True) if isinstance(file, sqlite3.Connection) else None


def is_empty(connection: Connection) -> bool:
    """Whether the database has no table at all."""
    return not inspect(connection).get_table_names()


def _file(location: Location) -> Engine:
    path = location.path
    assert path is not None

    def opened() -> sqlite3.Connection:
        connection = open_existing(path)
        connection.execute("PRAGMA query_only=ON").close()
        return connection

    made = create_engine("sqlite://", creator=opened, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(made, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return made
