"""The database's clock: the one that several replicas share, so leases run on it."""

from sqlalchemy import Connection, text

_NOW = {
    # julianday has a resolution of a millisecond, which is enough for leases of seconds.
    "sqlite": text("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000"),
    "postgresql": text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"),
}


def database_now(connection: Connection) -> int:
    """Microseconds since 1970, UTC."""
    return int(connection.execute(_NOW[connection.dialect.name]).scalar_one())
