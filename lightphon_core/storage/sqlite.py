"""How LightPhon uses SQLite: the file, and the engines for writing to it and reading from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from lightphon_core.errors import StorageError

BUSY_TIMEOUT_MS = 5_000


def path_of(url: str) -> Path:
    """The file that a database URL names.

    Raises:
        StorageError: it is no URL, not SQLite's, or names no file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StorageError("storage.url is not a database URL. Use sqlite:///PATH.") from None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite") or parsed.query:
        raise StorageError(f"storage.url asks for {parsed.drivername!r}. This version stores in sqlite:///PATH only.")
    if not parsed.database or parsed.database == ":memory:":
        raise StorageError("storage.url names no file. Use sqlite:///PATH.")
    return Path(parsed.database)


def make_file(path: Path) -> None:
    """Make the file (mode 600) and its directory (700) where they are missing, and see that it can be written.

    Raises:
        StorageError: it cannot.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its write-ahead log the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(f"The database {path} cannot be opened for writing: {error.strerror}.") from error


def engine(path: Path, *, begin: str, read_only: bool) -> Engine:
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
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(made, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return made
