"""`lightphon doctor`: look at everything a server needs, say what is not well, and what to do about it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from lightphon_core.cli.checks.backups import check_backups
from lightphon_core.cli.checks.database import check_database
from lightphon_core.cli.checks.finding import Finding, Level, ok, problem
from lightphon_core.cli.checks.machine import check_clock, check_disk, check_files
from lightphon_core.cli.checks.network import check_addresses, check_port, check_registration
from lightphon_core.cli.checks.plugins import check_plugins, strange_variables
from lightphon_core.cli.options import config_file, json_option, location_options, print_json
from lightphon_core.cli.settings import plugin_schemas
from lightphon_core.errors import SettingsError, StorageError
from lightphon_core.payments.payouts.sent_log import LOG
from lightphon_core.settings import Settings, load, read
from lightphon_core.settings.secrets import secrets_in
from lightphon_core.settings.structuring import expanded
from lightphon_core.storage.location import Location, locate
from lightphon_core.storage.sqlite_file import companions


@click.command()
@json_option
@location_options
@click.pass_context
def doctor(context: click.Context, config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Check settings, plugins, database, backups, disk, clock, files and addresses, and say what to do about each.

    Changes nothing, and may run beside the server. Exits with 1 if there is a problem.
    """
    found = []
    for finding in _findings(config, data_dir):
        found.append(finding)
        if not as_json:
            click.echo(f"{finding.level:<8} {finding.check:<9} {finding.what}")
            if finding.advice:
                click.echo(f"{'':<18} {finding.advice}")
    problems, warnings = (sum(finding.level is level for finding in found) for level in (Level.PROBLEM, Level.WARNING))
    if as_json:
        print_json({"ok": not problems, "findings": [_as_json(finding) for finding in found]})
    else:
        click.echo(f"\nFound {_number(problems, 'problem')} and {_number(warnings, 'warning')}.")
    if problems:
        context.exit(1)


def _findings(config: Path | None, data_dir: Path | None) -> Iterator[Finding]:
    try:
        config = config_file(config, data_dir)
        settings = load(config, os.environ, data_dir=data_dir)
    except SettingsError as error:
        yield problem("settings", error.message, "Correct it: `lightphon settings` lists all. The rest needs settings.")
        yield from strange_variables(os.environ, plugin_schemas())
        yield check_clock(time.time())
        return
    yield ok("settings", f"Read from {config}." if config else "There is no settings file: the defaults hold.")
    location = _location(settings)
    database = location.path if location is not None else None
    yield from check_plugins(settings, os.environ)
    yield from _readable("database", check_database(settings.database_url, time.time))
    if location is not None:
        yield from _readable("backup", check_backups(location, settings.data_dir, datetime.now(UTC)))
    yield from _readable("disk", check_disk(settings.data_dir, database))
    yield check_clock(time.time())
    yield from _readable("files", _files(settings, config, database))
    yield from check_registration(settings.accounts, settings.limits)
    yield from check_addresses(settings.server, settings.accounts)
    yield check_port(settings.server.host, settings.server.port)


def _files(settings: Settings, config: Path | None, database: Path | None) -> Iterator[Finding]:
    """Who may read and write them, secrets in the settings file and beside it too."""
    values = read(config) if config is not None and config.exists() else {}
    secrets = list(secrets_in(values, plugin_schemas()))
    files = [Path(value["file"]) for _, value in secrets if isinstance(value, dict) and "file" in value]
    return check_files(
        settings.data_dir,
        config,
        _private(settings, database),
        secrets=sorted({place for place, value in secrets if isinstance(value, str)}),
        secret_files=[(config or settings.data_dir).absolute().parent / expanded(file) for file in files],
    )


def _readable(check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, and a problem where this user may not even look."""
    try:
        yield from findings
    except OSError as error:
        yield problem(check, f"{error.filename}: {error.strerror}.", "Run this as the user that LightPhon runs as.")


def _location(settings: Settings) -> Location | None:
    try:
        return locate(settings.database_url)
    except StorageError:  # has been said
        return None


def _private(settings: Settings, database: Path | None) -> Iterator[Path]:
    """The database, and every copy of it that we know of."""
    if database is not None:
        yield database
        yield from companions(database)
        yield from database.parent.glob(f"{database.stem}-replaced-*")
    yield from settings.backups.glob("*")
    yield settings.data_dir / LOG


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "what": finding.what,
        "advice": finding.advice,
    }


def _number(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"
