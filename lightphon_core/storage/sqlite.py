"""How LightPhon uses SQLite: the file, and the engines for writing to it and reading from it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from lightphon_core.errors import StorageError, said_by
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
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its write-ahead log the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(f"The database {path} cannot be opened for writing: {said_by(error)}") from error


def _engine(path: Path, *, begin: str, read_only: bool) -> Engine:
    """Connections to the file: write-ahead log, every commit on disk (synchronous=FULL), foreign keys enforced.

    `begin` is the statement that opens a transaction.
    """
    # Parameters are hidden: exceptions would show what was to be stored.
    made = create_engine(URL.create("sqlite", database=str(path)), hide_parameters=True, max_overflow=-1)
    check = _still_there(path)

    @event.listens_for(made, "do_connect")
    def connecting(*_: object) -> None:
        check()  # or SQLite would make a new, empty file

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
        check()
        connection.exec_driver_sql(begin)

    return made


def _still_there(path: Path) -> Callable[[], None]:
    """A check that `path` is still the file that it is now.

    A connection goes on with a file that was removed or replaced, and what it writes there is lost without a word. What
    is under way in memory belongs to the file that was opened, so another one needs a restart; the same one, put back,
    does not.
    """
    opened = path.stat()

    def check() -> None:
        try:
            found = path.stat()
        except OSError as error:
            reason = f"{path} cannot be found any more ({error.strerror}). Put it back, or restart the server"
        else:
            if (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino):
                return
            reason = f"{path} is another file than the one that was opened. Put that back, or restart the server"
        raise OperationalError("BEGIN", None, sqlite3.OperationalError(reason))

    return check
