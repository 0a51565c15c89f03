"""Whether the database takes writes."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert

from lightphon_core.storage.schema import rates

_KEY = "readiness"
"""No key of a rate: those are hashes."""


def write_probe(connection: Connection) -> None:
    """Write something and remove it again, so that the commit has to reach the disk and leaves nothing there."""
    connection.execute(insert(rates).values(key=_KEY, until=0, written_at=0))
    connection.execute(delete(rates).where(rates.c.key == _KEY))
