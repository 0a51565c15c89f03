"""A note in the data directory on the last backup, so that its age can be told."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

NOTE = "last-backup.json"


@frozen
class Noted:
    """A backup that was made: its file, and when it was done (UTC)."""

    file: str
    at: datetime


def note_backup(data_dir: Path, file: Path, at: datetime) -> None:
    """Leave the note (mode 600), in the place of the one before. Raises `OSError`."""
    text = json.dumps({"file": str(file.absolute()), "at": at.isoformat(timespec="seconds")})
    partial = data_dir / f"{NOTE}.partial"
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    partial.replace(data_dir / NOTE)


def last_backup(data_dir: Path) -> Noted | None:
    """What was noted last; None where nothing was, or it cannot be read."""
    try:
        noted = json.loads((data_dir / NOTE).read_text("utf-8"))
        return Noted(str(noted["file"]), datetime.fromisoformat(noted["at"]).astimezone(UTC))
    except (OSError, ValueError, LookupError, TypeError):
        return None
