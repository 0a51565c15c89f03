"""The database: one writer thread, which commits whatever waits as a group, and a few readers.

What is read or written is said by plain functions of an SQLAlchemy connection; this module runs them off the event
loop. A commit waits for the disk, so that what was answered survives a power cut; grouping is what makes that
affordable.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from attrs import define, field
from sqlalchemy import Connection as Connection  # also what others call the one they are handed
from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError

from lightphon_core.errors import StorageError, StorageUnavailable
from lightphon_core.storage import postgresql, sqlite
from lightphon_core.storage.location import locate

T = TypeVar("T")

READERS = 4
GROUP_SIZE = 256
WAITING_LIMIT = 10_000
NOT_ANSWERING = (OperationalError, InterfaceError, InternalError)
"""What a database raises that is gone, full, locked, or has given up the transaction."""

log = structlog.stdlib.get_logger("lightphon.storage")


@define
class _Write:
    """One function that waits for the writer, and the future of whoever asked for it."""

    function: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = field(default=None)


class Database:
    """One database, from `url`: `sqlite:///PATH`, whose file and directory are made at need, or `postgresql://...`.

    Use `read` and `write` on an event loop, `transaction` and `snapshot` without one. `close` when done. `name` stands
    for it in messages; `path` is the file of an SQLite database, None for others. `writes_lost` counts what was not
    taken, together with its group, since it was opened.

    Raises:
        StorageError: the URL is neither's, or the file cannot be opened or is no database, or the server does not let
            us in.
    """

    def __init__(self, url: str) -> None:
        location = locate(url)
        opened = (postgresql if location.path is None else sqlite).connections(location)
        self.name, self.path = location.name, location.path
        self._writer, self._reader = opened.writer, opened.reader
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="lightphon-read")
        self._lock = threading.Lock()
        self._closed = False
        self.writes_lost = 0
        try:
            with self._reader.connect() as connection:
                inspect(connection).get_table_names()
        except DBAPIError as error:
            self._dispose()
            raise StorageError(
                f"The database {self.name} cannot be opened: {reason(error)}.{_advice(error)}"
            ) from error
        self._thread = threading.Thread(target=self._run, name="lightphon-write", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    async def read(self, function: Callable[[Connection], T]) -> T:
        """What `function` returns, run on a reader's connection: one snapshot, and no right to write.

        Raises:
            StorageUnavailable: the database does not answer, or is closed.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise _unavailable()
            reading = loop.run_in_executor(self._readers, self._read, function)
        return await reading

    async def write(self, function: Callable[[Connection], T]) -> T:
        """What `function` returns, once what it wrote is on disk.

        It shares its transaction with others, inside a savepoint: an exception undoes what this function wrote, nothing
        else, and is raised here. It must not commit, and must return values rather than open results. A caller that is
        cancelled no longer hears of it, but what it asked for may still be written.

        Raises:
            StorageUnavailable: the database does not answer, has too much to do, or is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            # Under the lock, so that nothing can be queued behind the end mark that `close` leaves.
            if self._closed or self._queue.qsize() >= WAITING_LIMIT:
                raise _unavailable()
            self._queue.put(_Write(function, loop, future))
        return await future

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction of its own: committed at the end, rolled back on an exception.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        with _answering(), self._writer.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A reader's connection: one snapshot, and no right to write. Writers go on meanwhile.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        with _answering(), self._reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Finish what was asked for, then close. Blocks meanwhile; closing again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._dispose()

    def _dispose(self) -> None:
        self._readers.shutdown()
        self._reader.dispose()
        # Last, since SQLite tidies its write-ahead log away when the last connection that may write closes.
        self._writer.dispose()

    def _read(self, function: Callable[[Connection], T]) -> T:
        with self.snapshot() as connection:
            return function(connection)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, more = self._group(first)
            self._commit(group)
            _deliver(group)
            if not more:
                return

    def _group(self, first: _Write) -> tuple[list[_Write], bool]:
        """`first` and whatever waits behind it; and whether more may come."""
        group = [first]
        while len(group) < GROUP_SIZE:
            try:
                write = self._queue.get_nowait()
            except queue.Empty:
                break
            if write is None:
                return group, False
            group.append(write)
        return group, True

    def _commit(self, group: list[_Write]) -> None:
        """Run a group in one transaction; each write then has its value or its error."""
        try:
            with self._writer.begin() as connection:
                for write in group:
                    _run_in_savepoint(connection, write)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers wait and the thread must go on
            self.writes_lost += len(group)
            log.warning("a group of writes was lost", writes=len(group), error=reason(error))
            for write in group:
                write.error = _unavailable()
                write.error.__cause__ = error


def reason(error: BaseException) -> str:
    """What the database said, without a full stop."""
    said = str(error.orig if isinstance(error, DBAPIError) else error)
    return said.removesuffix(".") or type(error).__name__


def _advice(error: DBAPIError) -> str:
    """What to do where SQLite's own words say too little: a disk that is full is an "I/O error" to it."""
    name = getattr(error.orig, "sqlite_errorname", "")
    failing = name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN"))
    return " Is its disk full, or its directory not to be written to? See `lightphon doctor`." if failing else ""


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except NOT_ANSWERING as error:
        log.warning("the database did not answer", error=reason(error))
        raise _unavailable() from error


def _run_in_savepoint(connection: Connection, write: _Write) -> None:
    savepoint = connection.begin_nested()
    try:
        write.value = write.function(connection)
    except NOT_ANSWERING as error:
        # Where the whole transaction was given up (disk full, connection lost), this rollback fails, and the group too.
        savepoint.rollback()
        log.warning("the database refused a write", error=reason(error))
        write.error = _unavailable()
        write.error.__cause__ = error
    except Exception as error:  # noqa: BLE001 - it is the caller's, and is raised there
        savepoint.rollback()
        write.error = error
    else:
        savepoint.commit()


def _deliver(group: list[_Write]) -> None:
    """Hand the outcomes over, with one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Write]] = {}
    for write in group:
        by_loop.setdefault(write.loop, []).append(write)
    for loop, writes in by_loop.items():
        with contextlib.suppress(RuntimeError):  # that loop has been closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, writes)


def _settle(writes: list[_Write]) -> None:
    for write in writes:
        if write.future.done():  # its caller was cancelled
            continue
        if write.error is not None:
            write.future.set_exception(write.error)
        else:
            write.future.set_result(write.value)


def _unavailable() -> StorageUnavailable:
    return StorageUnavailable("The database does not answer at the moment. Try again.", retry_after=1)
