"""How LightPhon uses SQLite: the file, and the engines for writing to it and reading from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from lightphon_core.errors import StorageError
from lightphon_core.storage.connections import Connections
from lightphon_core.storage.location import Location

BUSY_TIMEOUT_MS = 5_000


def connections(location: Location) -> Connections:
    """An SQLite file, made (mode 600, its directory 700) where it is missing.

    Raises:
        StorageError: it cannot be written.
    """
    path = Path(location.name)
    _make_file(path)
    # Begun as IMMEDIATE, a transaction waits for its turn at the start, where nothing can be lost.
    return Connections(
        writer=_engine(path, begin="BEGIN IMMEDIATE", read_only=False),
        reader=_engine(path, begin="BEGIN", read_only=True),
    )


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its write-ahead log the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(f"The database {path} cannot be opened for writing: {error.strerror}.") from error


def _engine(path: Path, *, begin: str, read_only: bool) -> Engine:
    """Connections to the file: write-ahead log, every commit on disk (synchronous=FULL), foreign keys enforced.

    `begin` is the statement that opens a transaction.
    """
    # Parameters are hidden: exceptions would show what was to be stored.
    made = create_engine(URL.create("sqlite", database=str(path)), hide_parameters=True, max_overflow=-1)

    @event.listens_for(made, "connect")
    def connected(connection: Any, _: object) -> None:
        # sqlite3 itself must begin no transaction: it begins them late, and never as IMMEDIATE.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            # Or REPLACE would remove rows without asking the triggers that forbid it.
            "recursive_triggers=ON",
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(made, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return made
