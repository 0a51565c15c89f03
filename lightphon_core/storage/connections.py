"""What the database layer needs of any one database."""

from __future__ import annotations

from attrs import frozen
from sqlalchemy import Engine


@frozen
class Connections:
    """How one database is reached.

    `writer` opens transactions that wait for their turn at the start, so that one runs at a time, over all processes.
    `reader` opens transactions that see one snapshot and may not write.
    """

    writer: Engine
    reader: Engine
