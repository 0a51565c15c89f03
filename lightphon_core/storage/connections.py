"""What the database layer needs of any one database."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen
from sqlalchemy import Engine


@frozen
class Connections:
    """How one database is reached.

    `writer` opens transactions that wait for their turn at the start, so that one runs at a time, over all processes.
    `reader` opens transactions that see one snapshot and may not write. `name` stands for the database in messages and
    holds no password. `path` is its file, None where a server keeps it.
    """

    writer: Engine
    reader: Engine
    name: str
    path: Path | None
