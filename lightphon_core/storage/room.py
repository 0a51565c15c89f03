"""Whether the disk has room for the database to grow, and for a copy of it."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path

from attrs import frozen

MB = 1_000_000
FULL_BYTES = 100 * MB
ROOM_BYTES = 1_000 * MB


class Verdict(StrEnum):
    """How much room there is. FULL: too little to go on. LITTLE: not enough to grow and for a backup."""

    ENOUGH = "enough"
    LITTLE = "little"
    FULL = "full"


@frozen
class Room:
    """Of a disk, in bytes; `database` is the size of an SQLite file, 0 where there is none."""

    free: int
    total: int
    database: int

    @property
    def verdict(self) -> Verdict:
        """Whether that is enough."""
        if self.free < FULL_BYTES:
            return Verdict.FULL
        return Verdict.LITTLE if self.free < max(ROOM_BYTES, 2 * self.database) else Verdict.ENOUGH


def room_of(directory: Path, database: Path | None) -> Room:
    """The room on the disk of a directory, which need not exist yet. Raises `OSError` where it cannot be told."""
    there = next(path for path in (directory, *directory.parents) if path.exists())
    usage = shutil.disk_usage(there)
    size = database.stat().st_size if database is not None and database.exists() else 0
    return Room(usage.free, usage.total, size)
