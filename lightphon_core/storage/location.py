"""Where a database is, read from its URL. Opens nothing and makes nothing."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from lightphon_core.errors import StorageError

SQLITE = ("sqlite", "sqlite+pysqlite")
POSTGRESQL = ("postgresql", "postgresql+psycopg")
_USE = "Use sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE."


@frozen
class Location:
    """`name` stands for the database in messages and holds no password. `path` is its file, None on a server."""

    url: URL = field(repr=False)
    name: str
    path: Path | None


def locate(url: str) -> Location:
    """The place that `storage.url` names: `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/DATABASE`.

    Raises:
        StorageError: it is neither's, or names no file.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise StorageError(f"storage.url is not a database URL. {_USE}") from None
    if parsed.drivername in POSTGRESQL:
        name = URL.create("postgresql", host=parsed.host, port=parsed.port, database=parsed.database)
        return Location(parsed, name.render_as_string(), None)
    if parsed.drivername not in SQLITE:
        raise StorageError(f"storage.url asks for {parsed.drivername!r}. {_USE}")
    if parsed.query or not parsed.database or parsed.database == ":memory:":
        raise StorageError("storage.url names no file. Use sqlite:///PATH.")
    return Location(parsed, parsed.database, Path(parsed.database))
