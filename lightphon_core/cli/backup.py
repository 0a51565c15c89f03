"""`lightphon backup` and `lightphon restore`: copies of an SQLite database."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from lightphon_core.cli.group import Failure
from lightphon_core.cli.options import json_option, print_json, settings_options
from lightphon_core.errors import StorageError, said_by
from lightphon_core.payments.payouts.sent_log import RestoreMark
from lightphon_core.settings import Settings
from lightphon_core.storage.backup import back_up
from lightphon_core.storage.backup import restore as restore_file
from lightphon_core.storage.backup_note import note_backup
from lightphon_core.storage.location import locate
from lightphon_core.storage.sqlite_file import Progress

_file = click.Path(path_type=Path, dir_okay=False, readable=False)


@click.command()
@click.argument("file", type=_file)
@click.option("--overwrite", is_flag=True, help="Replace FILE, once the new backup is whole.")
@json_option
@settings_options
def backup(file: Path, overwrite: bool, as_json: bool, settings: Settings) -> None:
    """Copy the database to FILE. The gateway may serve meanwhile.

    FILE holds all that the database does: accounts, hashes of keys and passwords, and the books. The settings file and
    what it refers to are not in it.
    """
    database = _database_file(settings, "pg_dump --format=custom --file={file} --dbname={name}", file)
    with _progress_bar() as progress:
        made = back_up(database, file, overwrite=overwrite, progress=progress)
    try:
        note_backup(settings.data_dir, made.path, datetime.now(UTC))
    except OSError as error:  # the backup is whole: only `lightphon doctor` does not know of it
        click.echo(f"The backup could not be noted in {settings.data_dir}: {said_by(error)}", err=True)
    if as_json:
        print_json({"file": str(made.path), "bytes": made.size, "schema": made.schema})
    else:
        click.echo(f"{database} is backed up to {made.path} ({made.size / 1e6:.1f} MB, schema {made.schema}).")


@click.command()
@click.argument("file", type=_file)
@json_option
@settings_options
def restore(file: Path, as_json: bool, settings: Settings) -> None:
    """Make the database what the backup FILE is. The gateway must be stopped.

    The database that is replaced is kept beside the new one. What has happened since the backup is undone: payments
    too, and keys that were revoked since work again.
    """
    database = _database_file(settings, "pg_restore --clean --if-exists --dbname={name} {file}", file)
    # Before the restore, since an interrupted one may have happened: payouts then wait until they are reconciled.
    mark = RestoreMark(settings.data_dir)
    marked_before = mark.is_there
    try:
        mark.leave()
    except OSError as error:
        raise StorageError(f"{mark.path}: {said_by(error)} Nothing was restored.") from error
    try:
        with _progress_bar() as progress:
            restored = restore_file(file, database, at=datetime.now(UTC), progress=progress)
    except StorageError:
        if not marked_before:
            mark.remove()
        raise
    if as_json:
        print_json(
            {
                "database": str(database),
                "schema": restored.schema,
                "replaced": str(restored.kept) if restored.kept else None,
            }
        )
        return
    click.echo(f"{database} is restored from {file} (schema {restored.schema}).")
    if restored.kept is not None:
        click.echo(f"The database that it replaces is kept as {restored.kept}.")
    click.echo("Next: lightphon ledger verify, then lightphon serve.")
    click.echo("Payouts wait from then on until they are compared with the wallet: lightphon payout reconcile.")


def _database_file(settings: Settings, instead: str, file: Path) -> Path:
    location = locate(settings.database_url)
    if location.path is None:
        command = instead.format(file=file, name=location.name)
        raise Failure(
            f"The database {location.name} is on PostgreSQL, which has tools of its own for this. Use: {command}"
        )
    return location.path


@contextlib.contextmanager
def _progress_bar() -> Iterator[Progress | None]:
    """What shows the progress of a copy on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label="Copying", file=sys.stderr) as bar:

        def progress(done: int, pages: int) -> None:
            bar.length = pages
            bar.update(done - bar.pos)

        yield progress
