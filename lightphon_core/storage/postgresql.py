"""How LightPhon uses PostgreSQL: connections that notice a server which is gone, and writers that take turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event

from lightphon_core.errors import StorageError
from lightphon_core.storage.connections import Connections
from lightphon_core.storage.location import Location

IDLE_TIMEOUT_MS = 4_000
TURN_TIMEOUT_MS = 10_000
"""Longer than a process that was stopped in its turn keeps it: the others wait for that, and lose nothing to it."""
WRITERS_TURN = 0x6C70_686F
"""The advisory lock that every writing transaction holds, so that the writers of all replicas take turns, as SQLite's
do. One holds it for a whole group of writes, so it costs less than the conflicts that it spares."""

_DEFAULTS = {
    "application_name": "lightphon",
    "client_encoding": "utf8",
    "connect_timeout": "5",
    # A server that vanished without a word is noticed within seconds, not within the system's two hours.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_WRITER: dict[str, int | str] = {
    "synchronous_commit": "on",  # whatever the server's own setting: what was answered is on disk
    "lock_timeout": TURN_TIMEOUT_MS,
    # A process that was stopped (SIGSTOP, a frozen machine) in its turn loses it, and all that it had not committed.
    "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS,
}


def connections(location: Location) -> Connections:
    """A database on a server. The query of its URL may hold libpq's parameters.

    Raises:
        StorageError: psycopg is not installed.
    """
    url = location.url.set(drivername="postgresql+psycopg", query={**_DEFAULTS, **location.url.query})
    try:
        writer = _engine(url, read_only=False, settings=_WRITER)
        reader = _engine(url, read_only=True, settings={})
    except ImportError as error:
        raise StorageError(
            "PostgreSQL needs the package psycopg. Install it with: pip install 'lightphon-core[postgresql]'."
        ) from error

    @event.listens_for(writer, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_TURN})")

    return Connections(writer, reader)


def _engine(url: URL, *, read_only: bool, settings: Mapping[str, int | str]) -> Engine:
    # Parameters are hidden: exceptions would show what was to be stored. A connection is tried before it is used, so
    # that a server which was restarted costs no request.
    made = create_engine(url, hide_parameters=True, max_overflow=-1, pool_pre_ping=True)

    @event.listens_for(made, "connect")
    def connected(connection: Any, _: object) -> None:
        import psycopg  # in here, since it is an extra

        for name, value in settings.items():
            connection.execute(f"SET {name} = {value}")
        connection.commit()
        connection.read_only = read_only
        # A reader sees one snapshot. A writer, whose turn it is, sees all that was committed before.
        level = psycopg.IsolationLevel
        connection.isolation_level = level.REPEATABLE_READ if read_only else level.READ_COMMITTED

    @event.listens_for(made, "handle_error")
    def failed(context: ExceptionContext) -> None:
        # What follows the first line shows the row that was refused, and exceptions are logged.
        orig = context.original_exception
        orig.args = (str(orig).partition("\n")[0],)
        if context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = orig.args

    return made
