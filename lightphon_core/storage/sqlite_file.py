"""An SQLite file as it lies there: whose it is, whether it is whole, and a copy of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from lightphon_core.errors import StorageError

Progress = Callable[[int, int], object]
"""Is told how many pages are copied, and how many there are."""

PAGES_A_STEP = 1_000
OURS = {"accounts", "credentials", "alembic_version"}
"""Tables that every LightPhon database has had, from its first schema on."""


def open_existing(path: Path, *, timeout_s: float = 5.0) -> sqlite3.Connection:
    """A connection to a file that is there; none is made. Begin and end transactions on it yourself.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=timeout_s, isolation_level=None
    )
    # Until here nothing has been read.
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def schema_of(connection: sqlite3.Connection, path: Path) -> str:
    """The schema, such as "0004", of the LightPhon database at `path`.

    Raises:
        StorageError: it is another program's, or empty.
        sqlite3.Error: it cannot be read.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    found = connection.execute("SELECT version_num FROM alembic_version").fetchall() if tables >= OURS else []
    if len(found) != 1:
        raise StorageError(f"{path} is not a LightPhon database.")
    return str(found[0][0])


def damage(connection: sqlite3.Connection, *, quick: bool = False) -> str | None:
    """What is wrong with the file's structure first, None where all is right. `quick` leaves the indexes out.

    Raises:
        sqlite3.Error: so much is wrong that it cannot be read.
    """
    # A pragma takes no parameters; the number is how many faults it looks for.
    (found,) = connection.execute("PRAGMA quick_check(1)" if quick else "PRAGMA integrity_check(1)").fetchone()
    return None if found == "ok" else " ".join(str(found).split())


def copy(source: sqlite3.Connection, target: sqlite3.Connection, progress: Progress | None = None) -> None:
    """Make `target` what `source` is in one snapshot. Neither writers nor readers of `source` wait for it.

    What `target` held is gone when all is copied, in one transaction: until then it is what it was, even after a crash.
    """
    own_snapshot = not source.in_transaction
    if own_snapshot:
        # Or SQLite would begin again whenever somebody writes between two steps, and never end on a busy server.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    try:
        source.backup(
            target,
            pages=PAGES_A_STEP,
            progress=None if progress is None else lambda _, remaining, total: progress(total - remaining, total),
        )
    finally:
        if own_snapshot:
            source.execute("ROLLBACK")


def companions(path: Path) -> list[Path]:
    """The files that SQLite keeps beside a database while it is open, or after a crash."""
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal")]
