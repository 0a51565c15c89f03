"""The database: writes in groups, each on its own, delivered when they are on disk; and what happens when it fails."""

import asyncio
import sqlite3
import sys
import threading
from functools import partial

import pytest
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from lightphon_core.errors import StorageError, StorageUnavailable
from lightphon_core.storage import postgresql, sqlite
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.storage.schema import accounts, credentials

PATIENCE_S = 20


@pytest.fixture
def sqlite_database(tmp_path):
    with Database(f"sqlite:///{tmp_path}/data/lightphon.db") as database:
        migrate(database)
        yield database


def add(connection, name):
    connection.execute(insert(accounts).values(id=f"acc_{name}", name=name, created_at=1))
    return name


def names(connection):
    return set(connection.scalars(select(accounts.c.name)))


class Gate:
    """A write that holds the writer, and so whatever comes behind it, until it is opened."""

    def __init__(self):
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, connection):
        self.entered.set()
        assert self.opened.wait(PATIENCE_S)


async def held(database):
    """A gate that the writer stands in, and the task that waits for it."""
    gate = Gate()
    task = asyncio.create_task(database.write(gate))
    assert await asyncio.to_thread(gate.entered.wait, PATIENCE_S)
    return gate, task


async def queued(*writes):
    """Tasks of these writes, every one of which is in the queue."""
    tasks = [asyncio.create_task(write) for write in writes]
    await asyncio.sleep(0)  # one turn of the loop: each task runs to where it waits
    return tasks


def count_commits(database):
    """Counts the writer's commits in the list's first element."""
    commits = [0]

    @event.listens_for(database._writer, "commit")
    def committed(_):
        commits[0] += 1

    return commits


async def test_waiting_writes_are_one_commit_and_one_failure_leaves_the_others(database):
    gate, first = await held(database)
    commits = count_commits(database)

    def half_done(connection):
        add(connection, "half")
        raise LookupError("no")

    def violates(connection):
        add(connection, "twice")
        add(connection, "twice")

    tasks = await queued(
        database.write(partial(add, name="a")),
        database.write(half_done),
        database.write(violates),
        database.write(partial(add, name="b")),
    )
    gate.opened.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await first
    assert results[0::3] == ["a", "b"]
    assert isinstance(results[1], LookupError)
    assert isinstance(results[2], IntegrityError)
    assert "twice" not in str(results[2])  # no parameters in an exception's text
    assert await database.read(names) == {"a", "b"}
    assert commits == [2]  # the gate's, and one for all four


async def test_nothing_is_delivered_before_it_is_committed(database, database_url):
    with Database(database_url) as other:

        async def write_and_look(name):
            await database.write(partial(add, name=name))
            return name in await other.read(names)

        assert await asyncio.gather(*(write_and_look(f"n{number}") for number in range(20))) == [True] * 20


async def test_concurrent_writers_lose_nothing(database):
    def increment(connection):
        value = connection.scalar(select(func.max(accounts.c.created_at))) or 0
        connection.execute(insert(accounts).values(id=f"acc_{value}", name=f"n{value}", created_at=value + 1))

    def in_a_thread():
        for _ in range(20):
            with database.transaction() as connection:
                increment(connection)

    async def caller():
        for _ in range(10):
            await database.write(increment)

    await asyncio.gather(asyncio.to_thread(in_a_thread), *(caller() for _ in range(10)))
    assert await database.read(lambda connection: connection.scalar(select(func.max(accounts.c.created_at)))) == 120


async def test_reads_go_on_while_a_write_runs(database):
    gate, first = await held(database)
    assert await asyncio.wait_for(database.read(names), PATIENCE_S) == set()
    gate.opened.set()
    await first


async def test_readers_cannot_write(database):
    with pytest.raises(StorageUnavailable):
        await database.read(partial(add, name="a"))


async def test_a_cancelled_caller_does_not_harm_the_writer(database):
    gate, first = await held(database)
    (task,) = await queued(database.write(partial(add, name="a")))
    task.cancel()
    gate.opened.set()
    await first
    assert await database.write(partial(add, name="b")) == "b"
    assert await database.read(names) == {"a", "b"}


async def test_close_finishes_what_was_asked_for(database, database_url):
    gate, first = await held(database)
    tasks = await queued(*(database.write(partial(add, name=f"n{number}")) for number in range(5)))
    closing = asyncio.create_task(asyncio.to_thread(database.close))
    gate.opened.set()
    await asyncio.wait_for(asyncio.gather(first, *tasks, closing), PATIENCE_S)
    for late in (database.write(names), database.read(names)):
        with pytest.raises(StorageUnavailable):
            await late
    database.close()
    with Database(database_url) as other:
        assert await other.read(names) == {f"n{number}" for number in range(5)}
    if database.path:  # SQLite's log is tidied away
        assert sorted(path.name for path in database.path.parent.iterdir()) == ["lightphon.db"]


async def test_a_locked_database_is_unavailable_and_recovers(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 10)
    with Database(f"sqlite:///{tmp_path}/l.db") as database:
        migrate(database)
        other = sqlite3.connect(database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        results = await asyncio.gather(*(database.write(names) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in results] == [StorageUnavailable] * 3
        assert results[0].retry_after == 1
        with pytest.raises(StorageUnavailable), database.transaction():
            pass
        assert await database.read(names) == set()
        other.execute("ROLLBACK")
        other.close()
        assert await database.write(partial(add, name="a")) == "a"


async def test_a_full_disk_fails_the_group_and_the_next_one_passes(sqlite_database):
    database = sqlite_database
    await database.write(partial(add, name="before"))

    def limit(connection, pages):
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    def fill(connection):
        add(connection, "x" * 10_000_000)

    # The limit belongs to the connection; the pool hands the one there is to every group.
    await database.write(partial(limit, pages=100))
    gate, first = await held(database)
    tasks = await queued(
        database.write(partial(add, name="a")), database.write(fill), database.write(partial(add, name="b"))
    )
    gate.opened.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await first
    present = await database.read(names)
    # Whether SQLite undoes one statement or the whole transaction is its own choice; nobody may be told wrong.
    assert isinstance(results[1], StorageUnavailable)
    assert present == {"before", *(result for result in results if isinstance(result, str))}
    assert await database.write(partial(add, name="after")) == "after"


async def test_a_transaction_that_the_database_gave_up_fails_the_whole_group(database):
    def give_up(connection):
        if database.path is None:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        else:
            connection.exec_driver_sql("ROLLBACK")  # as SQLite does by itself after an I/O error
            connection.execute(text("SELECT * FROM nowhere"))

    gate, first = await held(database)
    tasks = await queued(
        database.write(partial(add, name="a")), database.write(give_up), database.write(partial(add, name="b"))
    )
    gate.opened.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await first
    assert [type(each) for each in results] == [StorageUnavailable] * 3
    assert await database.read(names) == set()
    assert await database.write(partial(add, name="c")) == "c"


async def test_too_many_waiting_writes_are_turned_away(database, monkeypatch):
    monkeypatch.setattr("lightphon_core.storage.engine.WAITING_LIMIT", 2)
    gate, first = await held(database)
    tasks = await queued(*(database.write(names) for _ in range(3)))
    gate.opened.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await first
    assert [isinstance(each, StorageUnavailable) for each in results] == [False, False, True]


async def test_the_connection_to_sqlite_is_as_safe_as_promised(sqlite_database):
    database = sqlite_database

    def pragmas(connection):
        wanted = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted]

    assert await database.read(pragmas) == ["wal", 2, 1]
    assert await database.write(pragmas) == ["wal", 2, 1]
    with pytest.raises(IntegrityError):
        await database.write(
            lambda connection: connection.execute(
                insert(credentials).values(
                    id="c", account_id="nobody", kind="api_key", name="", secret_hash="h", hint="", created_at=1
                )
            )
        )
    assert database.path.stat().st_mode & 0o777 == 0o600
    assert database.path.with_name("lightphon.db-wal").stat().st_mode & 0o777 == 0o600
    assert database.path.parent.stat().st_mode & 0o777 == 0o700


def test_databases_that_cannot_be_opened(tmp_path):
    (tmp_path / "file").write_text("no database " * 200)
    for url, message in [
        ("nonsense", "not a database URL"),
        ("postgresql://me:hush@host:port/db", "not a database URL"),
        ("mysql://me:hush@host/db", "asks for 'mysql'. Use sqlite:///PATH or postgresql://"),
        ("postgresql+asyncpg://me:hush@host/db", "asks for 'postgresql.asyncpg'"),
        ("postgresql://me:hush@127.0.0.1:9/db", "The database postgresql://127.0.0.1:9/db cannot be opened: .*refused"),
        (f"postgresql://me:hush@/db?host={tmp_path}", "The database postgresql:///db cannot be opened: .*No such file"),
        ("postgresql://me:hush@/db?nonsense=1", "cannot be opened: .*nonsense"),
        ("sqlite://", "names no file"),
        ("sqlite:///x.db?mode=ro", "names no file"),
        (f"sqlite:///{tmp_path}/file/lightphon.db", "cannot be opened for writing"),
        (f"sqlite:///{tmp_path}", "cannot be opened for writing: Is a directory"),
        (f"sqlite:///{tmp_path}/file", "cannot be opened: file is not a database"),
    ]:
        with pytest.raises(StorageError, match=message) as caught:
            Database(url)
        assert "hush" not in caught.value.message
        assert "\n" not in caught.value.message


def test_postgresql_without_its_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)  # an import of it now fails
    with pytest.raises(StorageError, match=r"needs the package psycopg. .*pip install 'lightphon-core\[postgresql\]'"):
        Database("postgresql+psycopg://host/db")


async def test_a_server_that_went_away_is_unavailable_and_recovers(postgres):
    url = postgres.create()
    with Database(url) as database:
        migrate(database)
        await database.write(partial(add, name="before"))
        postgres.stop()
        try:
            for attempt in (database.write(partial(add, name="lost")), database.read(names)):
                with pytest.raises(StorageUnavailable):
                    await attempt
            with pytest.raises(StorageUnavailable), database.transaction():
                pass
        finally:
            postgres.start()
        # Not one request is lost to a connection that broke meanwhile.
        assert await asyncio.gather(*(database.read(names) for _ in range(8))) == [{"before"}] * 8
        assert await database.write(partial(add, name="after")) == "after"
        assert await database.read(names) == {"before", "after"}
    postgres.drop(url)


async def test_a_replica_that_stopped_in_its_turn_loses_it(postgres, monkeypatch):
    url = postgres.create()
    with Database(url) as database:
        migrate(database)
    for name in ("idle_in_transaction_session_timeout", "lock_timeout"):  # as they are, eight times faster
        monkeypatch.setitem(postgresql._WRITER, name, int(postgresql._WRITER[name]) // 8)
    with Database(url) as stopped, Database(url) as other:
        gate, lost = await held(stopped)  # its transaction is open and does nothing
        assert await other.write(partial(add, name="other")) == "other"  # it waited no longer than that
        gate.opened.set()
        with pytest.raises(StorageUnavailable):
            await lost
        assert await stopped.write(partial(add, name="again")) == "again"
        assert await other.read(names) == {"other", "again"}
    postgres.drop(url)


async def test_a_turn_that_does_not_come_is_unavailable(postgres, monkeypatch):
    monkeypatch.setitem(postgresql._WRITER, "lock_timeout", 50)
    url = postgres.create()
    with Database(url) as database, Database(url) as other:
        migrate(database)
        gate, writing = await held(database)
        with pytest.raises(StorageUnavailable):
            await other.write(names)
        gate.opened.set()
        await writing
        assert await other.write(names) == set()
    postgres.drop(url)
