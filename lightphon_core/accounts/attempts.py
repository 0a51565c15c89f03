"""How often someone may try to log in, counted in the database, so that replicas count together.

Each key (a name, an address) has one row. An attempt adds its share of a minute to `until`; whoever would be more than
a minute ahead is refused. So `limit` attempts may come at once, and then one every 60/limit seconds.
"""

from __future__ import annotations

import hashlib

from attrs import frozen
from sqlalchemy import Connection, delete, insert, select, update

from lightphon_core.errors import RateLimited
from lightphon_core.storage.schema import microseconds, rates

WINDOW_US = 60_000_000


@frozen
class Limited:
    """What is counted, in words that tell its kind ("name:alice"), and how often a minute it may be tried."""

    what: str
    per_minute: int

    @property
    def key(self) -> str:
        """As it is kept: what people type into the field for the name is at times their password."""
        return hashlib.sha256(self.what.encode("utf-8", "surrogatepass")).hexdigest()


def count_attempt(connection: Connection, *limits: Limited, now: float) -> None:
    """Count one attempt under each of the limits, or none where one refuses it.

    Raises:
        RateLimited: there were too many; it says when the next may come.
    """
    at = microseconds(now)
    connection.execute(delete(rates).where(rates.c.until <= at))
    until = {}
    for limit in limits:
        query = select(rates.c.until).where(rates.c.key == limit.key)
        before = connection.execute(query).scalar_one_or_none()
        until[limit.key] = (before or at) + WINDOW_US // limit.per_minute
        if (ahead := until[limit.key] - at - WINDOW_US) > 0:
            raise RateLimited("There were too many attempts. Wait before the next.", retry_after=ahead / 1_000_000)
        if before is None:
            connection.execute(insert(rates).values(key=limit.key, until=at))
    for key, time in until.items():
        connection.execute(update(rates).where(rates.c.key == key).values(until=time))


def forget_attempts(connection: Connection, limit: Limited) -> None:
    """Whoever has shown the right password starts anew."""
    connection.execute(delete(rates).where(rates.c.key == limit.key))
