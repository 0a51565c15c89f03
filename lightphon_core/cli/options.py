"""Options that commands share: where the settings come from, and JSON instead of text."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from lightphon_core.cli.group import Failure
from lightphon_core.errors import InvalidRequest
from lightphon_core.money import MoneyError, parse_sats
from lightphon_core.settings import Settings, default_config, load
from lightphon_core.storage.engine import Database
from lightphon_core.storage.location import locate
from lightphon_core.storage.migrate import migrate
from lightphon_core.storage.revisions import current

Command = Callable[..., Any]


class Place(click.Path):
    """A path. What may not be read is said by whoever reads it: click's own words leave out what to do. One that is
    empty, a variable of a script's that was never set, would be the working directory."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("It is empty.", param, ctx)
        return super().convert(value, param, ctx)


def location_options(command: Command) -> Command:
    """Adds `--config` and `--data-dir`, and passes both as they were given."""
    config = click.option(
        "--config",
        type=Place(),
        envvar="LIGHTPHON_CONFIG",
        show_envvar=True,
        help="Settings file (TOML); lightphon.toml in the data directory, where there is one, unless told.",
    )
    data_dir = click.option("--data-dir", type=Place(), help="Data directory; also LIGHTPHON_DATA_DIR.")
    return config(data_dir(command))


def settings_options(command: Command) -> Command:
    """Adds `--config` and `--data-dir`, and passes the settings they lead to as `settings`."""

    @location_options
    @functools.wraps(command)
    def wrapped(*args: Any, config: Path | None, data_dir: Path | None, **options: Any) -> Any:
        return command(*args, settings=settings_from(config, data_dir), **options)

    return wrapped


def settings_from(config: Path | None, data_dir: Path | None) -> Settings:
    """What these options, the environment, and the settings file that they lead to say. Raises `SettingsError`."""
    return load(config_file(config, data_dir), os.environ, data_dir=data_dir)


def config_file(config: Path | None, data_dir: Path | None) -> Path | None:
    """The settings file that was named, else the one in the data directory, where there is one."""
    if config is not None:
        return config
    default = default_config(os.environ, data_dir=data_dir)
    try:
        return default if default.is_file() else None
    except OSError:  # we may not even look: reading it then says why
        return default


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


def in_msat(_: click.Context, __: click.Parameter, value: str) -> int:
    """The callback of a parameter that is an amount of sats, and not 0: the same in millisatoshi."""
    try:
        amount = parse_sats(value)
    except MoneyError as error:
        raise click.BadParameter(str(error)) from None
    if amount == 0:
        raise click.BadParameter("An amount that moves is not 0.")
    return amount


def first_line() -> str:
    """The first line of stdin: a secret that is in no command line, and so in no list of processes."""
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


def ask_password(*, err: bool = False) -> str:
    """A password that is typed twice, at a terminal; asked for again while it cannot be one. `err`: on stderr."""
    from lightphon_core.accounts.passwords import MIN_LENGTH, check_password  # argon2 is for who asks

    def checked(text: str) -> str:
        try:
            return check_password(text)
        except InvalidRequest as error:
            raise click.UsageError(error.message) from None

    question = f"Password ({MIN_LENGTH} characters or more)"
    typed: str = click.prompt(question, hide_input=True, confirmation_prompt=True, value_proc=checked, err=err)
    return typed


def print_json(value: dict[str, Any]) -> None:
    """One JSON object, on one line."""
    click.echo(json.dumps(value))


@contextlib.contextmanager
def open_database(settings: Settings, *, make: bool = False) -> Iterator[Database]:
    """The database of these settings, migrated where needed, and closed at the end.

    One that is not there is made only if told to: a command that was led to the wrong place would leave a second.
    """
    location = locate(settings.database_url)
    if not make and location.path is not None and not location.path.exists():
        raise Failure(f"There is no database {location.name}. {_NO_DATABASE}")
    with Database(settings.database_url) as database:
        if not make:
            with database.snapshot() as connection:
                if current(connection) is None:
                    raise Failure(f"The database {database.name} is empty. {_NO_DATABASE}")
        migrate(database, backups=settings.backups)
        yield database


_NO_DATABASE = (
    "Is it elsewhere? Say where, with --data-dir, --config or LIGHTPHON_DATA_DIR. To make one, run `lightphon init`."
)
