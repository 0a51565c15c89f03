"""`lightphon init`: all that a server needs, made once."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from pathlib import Path

import click

from lightphon_core.accounts import people
from lightphon_core.accounts.passwords import hash_password
from lightphon_core.cli.checks.network import EVERYWHERE
from lightphon_core.cli.group import Failure
from lightphon_core.cli.options import (
    ask_password,
    first_line,
    json_option,
    location_options,
    open_database,
    print_json,
)
from lightphon_core.cli.settings import plugin_schemas
from lightphon_core.errors import SettingsError, said_by
from lightphon_core.settings import Settings, default_config, load, settings_file
from lightphon_core.storage.engine import Database


@click.command()
@click.option("--admin", metavar="NAME", help="Administrator to make; asked for at a terminal, unless there is one.")
@click.option("--password-stdin", is_flag=True, help="Read the administrator's password from the first line of stdin.")
@json_option
@location_options
def init(config: Path | None, data_dir: Path | None, admin: str | None, password_stdin: bool, as_json: bool) -> None:
    """Make the data directory, a settings file, the database and an administrator.

    What is there already stays as it is, so it can be run again.
    """
    if password_stdin and admin is None:
        raise Failure("--password-stdin needs --admin NAME: whose password it is.")
    if admin is not None:
        _name(admin)
    hashed = hash_password(first_line()) if password_stdin else None
    file = config or default_config(os.environ, data_dir=data_dir)
    settings = load(file if file.exists() else None, os.environ, data_dir=data_dir)
    made = []
    if _make_directory(settings.data_dir):
        made.append("data directory")
    if _write_settings(file, settings.data_dir):
        made.append("settings file")
    settings = load(file, os.environ, data_dir=data_dir)
    is_new = settings.storage.url is None and not (settings.data_dir / "lightphon.db").exists()
    with open_database(settings, make=True) as database:
        if is_new:
            made.append("database")
        name, is_new_account = _administrator(database, admin, hashed, may_ask=sys.stdin.isatty(), as_json=as_json)
        where = database.name
    if is_new_account:
        made.append("administrator")
    if as_json:
        print_json(
            {
                "data_dir": str(settings.data_dir),
                "config": str(file),
                "database": where,
                "admin": name,
                "made": made,
            }
        )
        return
    for what, value in (
        ("data directory", str(settings.data_dir)),
        ("settings file", str(file)),
        ("database", where),
        ("administrator", name),
    ):
        state = "made" if what in made else "there already" if value else "none yet"
        click.echo(f"{what.capitalize():<15} {state:<14} {value or ''}".rstrip())
    click.echo(_next_steps(_options(file, config), settings, name))


def _make_directory(path: Path) -> bool:
    """Make the data directory (mode 700); False where there is one."""
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise Failure(f"{path} is no directory. Choose another with --data-dir.") from None
        return False
    except OSError as error:
        raise Failure(f"The data directory {path} cannot be made: {said_by(error)}") from None
    return True


def _write_settings(file: Path, data_dir: Path) -> bool:
    """Write a settings file (mode 600); False where there is one, which stays."""
    if file.exists():
        return False
    inside = file.absolute().parent == data_dir.absolute()
    text = settings_file(plugin_schemas(), data_dir="." if inside else data_dir.absolute())
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
        except BaseException:
            file.unlink()  # half of one, or an empty one, would stay
            raise
    except FileExistsError:
        return False
    except OSError as error:
        raise Failure(f"The settings file {file} cannot be written: {said_by(error)}") from None
    return True


def _administrator(
    database: Database, wanted: str | None, hashed: str | None, *, may_ask: bool, as_json: bool
) -> tuple[str | None, bool]:
    """The name of an administrator, and whether it was made now; None where there is none and nobody to ask."""
    with database.snapshot() as connection:
        everybody = people.list_accounts(connection)
    admins = [account.name for account in everybody if account.admin_since is not None]
    if wanted is None and admins:
        return admins[0], False
    if wanted is not None and wanted not in admins:
        wanted = wanted.lower()  # as it is kept; only older accounts have capitals
    if wanted in admins:
        return wanted, False
    if wanted in [account.name for account in everybody]:
        raise Failure(f"There is an account {wanted} already, and it is no administrator. Choose another name.")
    if wanted is None:
        if as_json or not may_ask:
            return None, False
        wanted = str(click.prompt("Name of the administrator", default="admin", value_proc=_name))
    if hashed is None:
        if not may_ask:
            raise Failure("There is no terminal to ask for the password at. Give it on stdin, with --password-stdin.")
        hashed = hash_password(ask_password(err=as_json))
    with database.transaction() as connection:
        made = people.create_account(connection, wanted, now=time.time(), password_hash=hashed, admin=True)
    return made.name, True


def _name(text: str) -> str:
    """What was typed, if it can be an account's name. click asks again where it cannot."""
    if not people.is_account_name(text):
        raise click.UsageError("A name has 1 to 64 letters, digits and . _ @ + -, and begins with a letter or digit.")
    return text


def _options(file: Path, config: Path | None) -> str:
    """What other commands need to be told to find the same server."""
    with contextlib.suppress(SettingsError):  # whoever has no home has to name the directory
        if file.absolute() == default_config(os.environ):
            return ""
    return f" --data-dir {shlex.quote(str(file.parent))}" if config is None else f" --config {shlex.quote(str(file))}"


def _local_url(host: str, port: int) -> str:
    """Where a browser on this machine finds a server that listens there."""
    reached = EVERYWHERE.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _next_steps(options: str, settings: Settings, name: str | None) -> str:
    address = (settings.server.public_url or _local_url(settings.server.host, settings.server.port)).rstrip("/")
    owner = name or "NAME"
    steps = [
        ("serve", f"runs it; the web app is at {address}/"),
        (f"key create --account {owner}", "makes a key for clients"),
        (f"node-token create --account {owner}", "makes what a GPU node connects with"),
        ("doctor", "checks all of this"),
    ]
    if name is None:
        steps.insert(0, ("init --admin NAME", "makes an administrator"))
    commands = [(f"lightphon {words}{options}", what) for words, what in steps]
    width = max(len(command) for command, _ in commands)
    return "\nNext:\n" + "\n".join(f"  {command.ljust(width)}  {what}" for command, what in commands)
