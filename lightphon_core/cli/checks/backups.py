"""Whether there is a backup, and how old it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lightphon_core.accounts.people import first_account_at
from lightphon_core.cli.checks.finding import Finding, ok, warning
from lightphon_core.errors import StorageError
from lightphon_core.storage.backup_note import last_backup
from lightphon_core.storage.inspection import looking_at
from lightphon_core.storage.location import Location

CHECK = "backup"
TOO_OLD = timedelta(days=8)
"""A week, and a day's grace."""

_ADVICE = "Have cron run `lightphon backup FILE` every night. Where something else copies the database, all is well."


def check_backups(location: Location, data_dir: Path, now: datetime) -> Iterator[Finding]:
    """When `lightphon backup` was last run on an SQLite database. PostgreSQL has tools of its own."""
    if location.path is None or not location.path.exists():
        return
    noted = last_backup(data_dir)
    if noted is not None:
        said = f"The last `lightphon backup` was made on {noted.at:%Y-%m-%d}: {noted.file}."
        yield ok(CHECK, said) if now - noted.at < TOO_OLD else warning(CHECK, said, _ADVICE)
    elif (begun := _first_account(location)) is not None and now - begun >= TOO_OLD:
        yield warning(CHECK, f"No `lightphon backup` was made, and there are accounts since {begun:%Y-%m-%d}.", _ADVICE)
    else:
        yield ok(CHECK, "There is none yet, and little to lose. `lightphon backup FILE` makes one, also while serving.")


def _first_account(location: Location) -> datetime | None:
    """When the first account was made; None where there is none, or the database cannot be read."""
    try:
        with looking_at(location) as connection:
            made = first_account_at(connection)
    except StorageError:  # has been said
        return None
    return None if made is None else datetime.fromtimestamp(made / 1_000_000, UTC)
