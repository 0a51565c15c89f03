"""Backups: whole or not there, made beside a writer, put back all or not at all; and the one before a migration."""

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime

import pytest
import structlog
from alembic import command
from sqlalchemy import text

from lightphon_core.errors import StorageError
from lightphon_core.storage import backup as backup_module
from lightphon_core.storage import migrate as migrate_module
from lightphon_core.storage import sqlite_file
from lightphon_core.storage.backup import back_up, restore
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import BACKUPS_KEPT, migrate
from lightphon_core.storage.migrations import scripts
from lightphon_core.storage.revisions import newest

AT = datetime(2026, 11, 22, 13, 50, tzinfo=UTC)
INSERT = "INSERT INTO accounts (id, name, created_at) VALUES (:name, :name, 1)"


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    """A small database is copied in many steps, as a large one is."""
    monkeypatch.setattr(sqlite_file, "PAGES_A_STEP", 1)


@pytest.fixture
def make(_migrated_file):
    """Makes a database with these accounts."""

    def make(path, *names):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(_migrated_file, path)
        path.chmod(0o600)
        with Database(f"sqlite:///{path}") as database:
            for name in names:
                add(database, name)
        return path

    return make


def add(database, name):
    with database.transaction() as connection:
        connection.execute(text(INSERT), {"name": name})


def names(path):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [name for (name,) in connection.execute("SELECT name FROM accounts ORDER BY name")]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def tree(path):
    """Every file below a directory, and what is in it."""
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture
def source(make, tmp_path):
    return make(tmp_path / "data" / "lightphon.db", "alice")


@pytest.fixture
def elsewhere(tmp_path):
    directory = tmp_path / "backups"
    directory.mkdir()
    return directory


def test_a_copy_is_one_snapshot_and_holds_no_writer_up(source, elsewhere):
    steps = []
    with Database(f"sqlite:///{source}") as database:

        def written_meanwhile(done, pages):
            steps.append((done, pages))
            if len(steps) < 10:
                add(database, f"late{len(steps)}")

        made = back_up(source, elsewhere / "copy.db", progress=written_meanwhile)
        assert list(elsewhere.iterdir()) == [made.path]
        assert (mode(made.path), made.size, made.schema) == (0o600, made.path.stat().st_size, newest())
        # It did not begin again for those who wrote meanwhile, nor does it hold what they wrote.
        assert len(steps) == steps[0][1]
        assert steps[-1][0] == steps[-1][1]
        assert names(made.path) == ["alice"]
    assert "late9" in names(source)
    # One file, which can be read where nothing can be written: no write-ahead log belongs to it.
    assert made.path.read_bytes()[18:20] == b"\x01\x01"


def test_nothing_is_replaced_unasked(source, elsewhere):
    target = elsewhere / "copy.db"
    target.write_text("mine")
    with pytest.raises(StorageError, match=r"There is a file .*copy.db already"):
        back_up(source, target)
    assert target.read_text() == "mine"
    assert back_up(source, target, overwrite=True).path == target
    assert names(target) == ["alice"]


def test_the_database_never_replaces_itself(source, elsewhere):
    (elsewhere / "link.db").symlink_to(source)
    with Database(f"sqlite:///{source}"):
        for target in (source, elsewhere / "link.db", source.with_name("lightphon.db-wal")):
            with pytest.raises(StorageError, match="is the database itself"):
                back_up(source, target, overwrite=True)
    with pytest.raises(StorageError, match="is the database itself"):
        restore(elsewhere / "link.db", source, at=AT)
    assert names(source) == ["alice"]


def other_program(path, make):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")


def newer(path, make):
    with Database(f"sqlite:///{make(path)}") as database, database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))


def damaged(path, make):
    content = bytearray(make(path, "bob").read_bytes())
    half = len(content) // 2 // 4096 * 4096
    content[half : half + 8192] = os.urandom(8192)
    path.write_bytes(content)


WRONG = {
    "missing": (lambda path, make: None, "There is no database file"),
    "text": (lambda path, make: path.write_text("no database " * 100), "file is not a database"),
    "empty": (lambda path, make: path.write_bytes(b""), "is not a LightPhon database"),
    "other": (other_program, "is not a LightPhon database"),
    "damaged": (damaged, "is damaged|is malformed"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_backed_up_leaves_the_last_backup_alone(make, tmp_path, elsewhere, kind):
    make_wrong, message = WRONG[kind]
    make_wrong(tmp_path / "wrong.db", make)
    (elsewhere / "copy.db").write_text("the last one")
    with pytest.raises(StorageError, match=message):
        back_up(tmp_path / "wrong.db", elsewhere / "copy.db", overwrite=True)
    assert tree(elsewhere) == {(elsewhere / "copy.db").relative_to(elsewhere): b"the last one"}


@pytest.mark.parametrize("kind", [*WRONG, "newer"])
def test_what_cannot_be_restored_leaves_the_database_alone(make, source, elsewhere, kind):
    make_wrong, message = {**WRONG, "newer": (newer, "written by a newer LightPhon")}[kind]
    make_wrong(elsewhere / "wrong.db", make)
    before = tree(source.parent)
    with pytest.raises(StorageError, match=message):
        restore(elsewhere / "wrong.db", source, at=AT)
    assert tree(source.parent) == before


def test_a_directory_that_is_not_there(source, elsewhere):
    with pytest.raises(StorageError, match=r"could not be backed up to .*copy.db: No such file or directory"):
        back_up(source, elsewhere / "none" / "copy.db")


def test_a_name_that_cannot_even_be_looked_for(source, elsewhere):
    """As one in a directory that is shut to whoever asks: the system refuses before it says what is there."""
    name = elsewhere / ("x" * 300)
    with pytest.raises(StorageError, match=r"could not be backed up to .*: File name too long\.$"):
        back_up(source, name)
    with pytest.raises(StorageError):
        restore(name, source, at=AT)


def test_a_restored_database_and_the_one_it_replaces(source, elsewhere):
    back_up(source, elsewhere / "copy.db")
    with Database(f"sqlite:///{source}") as database:
        add(database, "bob")
    restored = restore(elsewhere / "copy.db", source, at=AT)
    assert restored.schema == newest()
    assert restored.kept == source.with_name("lightphon-replaced-20261122T135000Z.db")
    assert (names(source), names(restored.kept)) == (["alice"], ["alice", "bob"])
    assert (mode(source), mode(restored.kept)) == (0o600, 0o600)
    again = restore(restored.kept, source, at=AT)
    assert again.kept == source.with_name("lightphon-replaced-20261122T135000Z-2.db")
    assert names(source) == ["alice", "bob"]
    assert len(list(source.parent.iterdir())) == 3
    with Database(f"sqlite:///{source}") as database:
        migrate(database)
        add(database, "carol")
    assert names(source) == ["alice", "bob", "carol"]


def test_restoring_where_nothing_is(source, tmp_path):
    target = tmp_path / "new" / "lightphon.db"
    assert restore(source, target, at=AT).kept is None
    assert names(target) == ["alice"]
    assert (mode(target), mode(target.parent)) == (0o600, 0o700)


def test_a_database_in_use_is_not_replaced(source, elsewhere, monkeypatch):
    monkeypatch.setattr(backup_module, "LOCK_TIMEOUT_S", 0.01)
    back_up(source, elsewhere / "copy.db")
    with Database(f"sqlite:///{source}") as database:
        add(database, "bob")
        with pytest.raises(StorageError, match="is in use"):
            restore(elsewhere / "copy.db", source, at=AT)
        add(database, "carol")
    assert names(source) == ["alice", "bob", "carol"]
    assert list(source.parent.iterdir()) == [source]


def test_nobody_reads_half_of_what_is_restored(source, elsewhere):
    back_up(source, elsewhere / "copy.db")
    refused = []

    def read_meanwhile(done, pages):
        with closing(sqlite3.connect(source, timeout=0)) as other, pytest.raises(sqlite3.OperationalError) as caught:
            other.execute("SELECT name FROM accounts")
        refused.append(str(caught.value))

    restore(elsewhere / "copy.db", source, at=AT, progress=read_meanwhile)
    assert set(refused) == {"database is locked"}


def test_a_database_that_cannot_be_read_is_set_aside(source, elsewhere):
    back_up(source, elsewhere / "copy.db")
    source.write_bytes(b"\0" * 10_000)
    kept = restore(elsewhere / "copy.db", source, at=AT).kept
    assert kept.read_bytes() == b"\0" * 10_000
    assert names(source) == ["alice"]
    assert mode(source) == 0o600
    assert len(list(source.parent.iterdir())) == 2


def test_a_log_that_is_left_meets_no_other_database(source, elsewhere, monkeypatch):
    monkeypatch.setattr(backup_module, "_locked", lambda path: None)  # SQLite itself leaves one in no case we know of
    back_up(source, elsewhere / "copy.db")
    wal = source.with_name("lightphon.db-wal")
    wal.write_bytes(b"of the old one")
    kept = restore(elsewhere / "copy.db", source, at=AT).kept
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == b"of the old one"
    assert not wal.exists()


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM accounts").fetchall()
print("open", flush=True)
sys.stdin.read()
"""


def test_a_database_that_cannot_be_read_may_still_be_in_use(source, elsewhere):
    back_up(source, elsewhere / "copy.db")
    with Database(f"sqlite:///{source}"):
        pass
    holding = [sys.executable, "-c", HOLD, source]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "open\n"
        with source.open("r+b") as file:
            file.write(b"\0" * 100)
        with pytest.raises(StorageError, match="is in use"):
            restore(elsewhere / "copy.db", source, at=AT)
        holder.communicate()
    restore(elsewhere / "copy.db", source, at=AT)
    assert names(source) == ["alice"]


@pytest.mark.parametrize("when", [1, 10])
def test_what_is_interrupted_leaves_everything_as_it_was(source, elsewhere, when):
    back_up(source, elsewhere / "copy.db")
    with Database(f"sqlite:///{source}") as database:
        add(database, "bob")
    before = {path.name for path in source.parent.iterdir()}, tree(elsewhere)
    steps = []

    def interrupt(done, pages):
        steps.append(done)
        if len(steps) == when:
            raise KeyboardInterrupt

    for work in (
        lambda: back_up(source, elsewhere / "copy.db", overwrite=True, progress=interrupt),
        lambda: restore(elsewhere / "copy.db", source, at=AT, progress=interrupt),
    ):
        steps.clear()
        with pytest.raises(KeyboardInterrupt):
            work()
        assert names(source) == ["alice", "bob"]
        assert ({path.name for path in source.parent.iterdir()}, tree(elsewhere)) == before


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from lightphon_core.storage import sqlite_file
from lightphon_core.storage.backup import back_up, restore
sqlite_file.PAGES_A_STEP = 1
source, target = map(Path, sys.argv[2:])
steps = []
def progress(done, pages):
    steps.append(done)
    if len(steps) == pages - 1:
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "back_up":
    back_up(source, target, progress=progress)
else:
    restore(source, target, at=datetime.now(UTC), progress=progress)
"""


def killed(work, source, target):
    done = subprocess.run([sys.executable, "-c", KILLED, work, source, target], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_backup_has_no_backups_name(source, elsewhere):
    killed("back_up", source, elsewhere / "copy.db")
    left = list(elsewhere.iterdir())
    assert left
    assert all(".partial" in path.name for path in left)
    back_up(source, elsewhere / "copy.db")
    assert names(elsewhere / "copy.db") == ["alice"]


def test_a_killed_restore_leaves_the_old_database(make, source, elsewhere):
    make(elsewhere / "other.db", *(f"name{number:03}" for number in range(200)))
    killed("restore", elsewhere / "other.db", source)
    assert source.with_name("lightphon.db-journal").exists()  # it was in the middle of it
    assert names(source) == ["alice"]
    restore(elsewhere / "other.db", source, at=AT)
    assert len(names(source)) == 200


@pytest.fixture
def old(empty_database_url):
    """A database of each kind, one schema behind."""
    with Database(empty_database_url) as database:
        with database.transaction() as connection:
            config, directory = scripts()
            config.attributes["connection"] = connection
            before = directory.get_revision("head").down_revision
            command.upgrade(config, before)
            connection.execute(text(INSERT), {"name": "alice"})
        yield database, before


def schema_of(database):
    with database.snapshot() as connection:
        return connection.scalar(text("SELECT version_num FROM alembic_version"))


def test_a_backup_before_a_migration(old, elsewhere):
    database, before = old
    with structlog.testing.capture_logs() as logged:
        migrate(database, backups=elsewhere / "new")
        migrate(database, backups=elsewhere / "new")  # has nothing to do
    assert schema_of(database) == newest()
    if database.path is None:
        assert [(line["log_level"], line["database"]) for line in logged[:-1]] == [("warning", database.name)]
        assert "pg_dump" in logged[0]["event"]
        assert not (elsewhere / "new").exists()
        return
    (made,) = (elsewhere / "new").iterdir()
    assert made.name.startswith("before-migration-20")
    assert made.name.endswith(f"Z-schema-{before}.db")
    assert (mode(made), mode(made.parent)) == (0o600, 0o700)
    assert names(made) == ["alice"]
    assert restore(made, database.path.with_name("again.db"), at=AT).schema == before
    assert logged[-1]["backup"] == str(made)


def test_a_new_database_needs_none(tmp_path, elsewhere):
    with Database(f"sqlite:///{tmp_path}/new.db") as database:
        migrate(database, backups=elsewhere)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_latest_are_kept(old, elsewhere):
    for number in range(BACKUPS_KEPT + 2):
        (elsewhere / f"before-migration-20200101T00000{number}Z-schema-0001.db").touch()
    (elsewhere / "before-migration-20200101T000000Z-schema-0001.db.x.partial").touch()
    (elsewhere / "mine.db").touch()
    migrate(old[0], backups=elsewhere)
    kept = sorted(path.name for path in elsewhere.iterdir())
    assert len(kept) == BACKUPS_KEPT + 1
    assert kept[0] == f"before-migration-20200101T00000{3}Z-schema-0001.db"
    assert kept[-1] == "mine.db"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_no_migration_without_a_backup(old, elsewhere):
    database, before = old
    (elsewhere / "file").touch()
    with pytest.raises(
        StorageError,
        match=r"file: File exists\. A file is in the place of a directory\. Without a backup nothing is migrated",
    ):
        migrate(database, backups=elsewhere / "file")
    assert schema_of(database) == before


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_migration_that_fails_costs_no_older_backup(old, elsewhere):
    database, before = old
    with database.transaction() as connection:
        connection.execute(text("CREATE TABLE node_days (id TEXT)"))  # what the latest one adds
    with pytest.raises(StorageError, match="could not be migrated"):
        migrate(database, backups=elsewhere)
    assert schema_of(database) == before
    assert list(elsewhere.iterdir()) == []
    assert migrate_module.BACKUPS_KEPT == 5
