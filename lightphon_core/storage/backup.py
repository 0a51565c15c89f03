"""Copies of an SQLite database: made while it is in use, and put back.

A copy is written under another name (`*.partial`), checked, forced to disk, and only then given its own name; so what
has a backup's name is a whole one. Putting one back is one SQLite transaction: interrupted, it leaves the old database.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from attrs import frozen

from lightphon_core.errors import StorageError, said_by
from lightphon_core.storage.revisions import check_known
from lightphon_core.storage.sqlite_file import Progress, companions, copy, damage, open_existing, schema_of

PARTIAL = ".partial"
LOCK_TIMEOUT_S = 1.0
SQLITE_LOCK_BYTES = (512, 0x40000000)
"""Length and start of the bytes that SQLite locks in every database file that it has open (its file format, 1.4)."""


@frozen
class Backup:
    """A finished copy: its file, its size in bytes, and its schema, such as "0004"."""

    path: Path
    size: int
    schema: str


@frozen
class Restored:
    """What the database is now, and where the one lies that it replaced; None where there was none."""

    schema: str
    kept: Path | None


def back_up(source: Path, target: Path, *, overwrite: bool = False, progress: Progress | None = None) -> Backup:
    """Copy the database file `source`, which may be in use, to the new file `target` (mode 600).

    The copy is one snapshot, and is checked before it gets its name. It holds nobody up.

    Raises:
        StorageError: there is a file `target` already, and `overwrite` is False; or `source` is no LightPhon database,
            or is damaged; or one of them cannot be read or written.
    """
    try:
        _check_apart(source, target)
        if not overwrite:
            _check_new(target)
        with contextlib.closing(_opened(source)) as reading, _partial(target) as partial:
            schema = _write(reading, partial, source, progress)
            if not overwrite:
                _check_new(target)
            partial.replace(target)
            _sync(target.parent)
            return Backup(target, target.stat().st_size, schema)
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"{source} could not be backed up to {target}: {_reason(error)}.") from error


def restore(source: Path, target: Path, *, at: datetime, progress: Progress | None = None) -> Restored:
    """Make the database `target` what the backup `source` is. What was there is kept beside it, with the time `at`.

    Raises:
        StorageError: `target` is in use; or `source` is no LightPhon database, or damaged, or written by a newer
            LightPhon; or one of them cannot be read or written. `target` is as it was then.
    """
    try:
        _check_apart(target, source)
        with contextlib.closing(_opened(source)) as reading:
            reading.execute("BEGIN")
            schema = schema_of(reading, source)
            check_known(schema, str(source))
            if fault := damage(reading):
                raise StorageError(f"{source} is damaged, and was not restored: {fault}.")
            _make(target)
            kept = _beside(target, at) if target.stat().st_size else None
            if (locked := _locked(target)) is None:
                assert kept is not None, "what is empty can be read"
                _replace_unreadable(reading, source, target, kept, progress)
                return Restored(schema, kept)
            with contextlib.closing(locked):
                _overwrite(reading, locked, target, kept, progress)
            return Restored(schema, kept)
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"{source} could not be restored to {target}: {_reason(error)}.") from error


def _opened(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise StorageError(f"There is no database file {path}.")
    return open_existing(path)


def _write(reading: sqlite3.Connection, partial: Path, source: Path, progress: Progress | None) -> str:
    """A checked copy in the file `partial`, on disk. Returns its schema."""
    with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as writing:
        writing.execute("PRAGMA synchronous=OFF")  # it is forced to disk as a whole, below
        copy(reading, writing, progress)
        # A file of its own, without a write-ahead log: it can be read where nothing can be written.
        writing.execute("PRAGMA journal_mode=DELETE").fetchone()
        schema = schema_of(writing, source)
        if fault := damage(writing):
            raise StorageError(f"{source} is damaged, and was not backed up: {fault}.")
    _sync(partial)
    return schema


def _overwrite(
    reading: sqlite3.Connection, locked: sqlite3.Connection, target: Path, kept: Path | None, progress: Progress | None
) -> None:
    """Copy over the database that we hold the lock of. In place: whoever waits for it then gets what was restored."""
    if kept is not None:
        with _partial(kept) as partial:
            with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as keeping:
                copy(locked, keeping)  # unchecked: damage may be why it is replaced
            _sync(partial)
            partial.replace(kept)
            _sync(kept.parent)
    try:
        copy(reading, locked, progress)
    except BaseException:
        if kept is not None:
            kept.unlink()
        raise
    _sync(target)


def _replace_unreadable(
    reading: sqlite3.Connection, source: Path, target: Path, kept: Path, progress: Progress | None
) -> None:
    """Put a copy in the place of a file that SQLite cannot open, and set that aside with all that belongs to it."""
    with _partial(target) as partial:
        _write(reading, partial, source, progress)
        _own(partial, like=target)
        for file in companions(target):  # a write-ahead log must never meet a database that is not its own
            with contextlib.suppress(FileNotFoundError):
                file.replace(kept.with_name(file.name.replace(target.name, kept.name, 1)))
        try:
            kept.hardlink_to(target)
        except OSError:  # not every file system can
            target.replace(kept)
        partial.replace(target)
        _sync(target.parent)


def _locked(path: Path) -> sqlite3.Connection | None:
    """A connection that alone may use the file at `path`, until it is closed; None where SQLite cannot read the file.

    Raises:
        StorageError: somebody has it open.
    """
    in_use = StorageError(f"The database {path} is in use. Stop `lightphon serve`, and whatever else uses it, first.")
    connection: sqlite3.Connection | None = None
    try:
        connection = open_existing(path, timeout_s=LOCK_TIMEOUT_S)
        # Leaving the write-ahead log needs the file to oneself, and makes it one file again.
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
        if mode != "delete":
            raise in_use
        # In this mode a lock that was taken is kept after its transaction.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchone()
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        return connection
    except BaseException as error:
        if connection is not None:
            connection.close()
        if not isinstance(error, sqlite3.Error):
            raise
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says more than is needed
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise in_use from error
        if code not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
    if _is_open_elsewhere(path):  # by a server, say, since before it was damaged
        raise in_use
    return None


def _is_open_elsewhere(path: Path) -> bool:
    """Whether another process holds one of SQLite's locks. For a file that SQLite itself no longer opens."""
    if sys.platform == "win32":
        return False  # there an open file cannot be renamed
    import fcntl  # POSIX alone has it

    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *SQLITE_LOCK_BYTES)
        except OSError:
            return True
    return False


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """A new file (mode 600) beside `target` to write to. What is left of it at the end is removed."""
    descriptor, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=PARTIAL, dir=target.parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        for file in (Path(name), *companions(Path(name))):
            file.unlink(missing_ok=True)


def _make(path: Path) -> None:
    """An empty file (mode 600, its directory 700) where there is none, so that it can be locked."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        _own(path, like=path.parent)


def _own(path: Path, *, like: Path) -> None:
    """Root restores for the account that the server runs as."""
    if sys.platform != "win32" and os.geteuid() == 0:
        status = like.stat()
        os.chown(path, status.st_uid, status.st_gid)


def _beside(target: Path, at: datetime) -> Path:
    """A name for what is replaced at that time: lightphon-replaced-20261122T135000Z.db."""
    stem = f"{target.stem}-replaced-{at:%Y%m%dT%H%M%SZ}"
    names = (f"{stem}{'' if number == 1 else f'-{number}'}{target.suffix}" for number in range(1, 1_000))
    return next(path for path in map(target.with_name, names) if not path.exists())


def _check_apart(database: Path, other: Path) -> None:
    if other.exists() and any(file.exists() and other.samefile(file) for file in (database, *companions(database))):
        raise StorageError(f"{other} is the database itself. Name another file.")


def _check_new(target: Path) -> None:
    if target.exists():
        raise StorageError(f"There is a file {target} already. Name another one, or replace it with --overwrite.")


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return said_by(error).removesuffix(".")
    return str(error) or type(error).__name__
