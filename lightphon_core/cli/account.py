"""`lightphon account`: the people whom LightPhon serves."""

from __future__ import annotations

import time
from typing import Any

import click

from lightphon_core.accounts import people
from lightphon_core.cli.options import json_option, open_database, print_json, settings_options
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.settings import Settings


@click.group()
def account() -> None:
    """Create and list accounts."""


@account.command()
@click.argument("name")
@json_option
@settings_options
def create(name: str, as_json: bool, settings: Settings) -> None:
    """Create the account NAME."""
    with open_database(settings) as database, database.transaction() as connection:
        made = people.create_account(connection, name, now=time.time())
    if as_json:
        print_json(_as_json(made))
    else:
        click.echo(f"Account {made.name} created. Its id is {made.id}.")


@account.command(name="list")
@json_option
@settings_options
def list_(as_json: bool, settings: Settings) -> None:
    """List all accounts."""
    with open_database(settings) as database, database.transaction() as connection:
        found = people.list_accounts(connection)
    if as_json:
        print_json({"accounts": [_as_json(each) for each in found]})
    elif found:
        rows = [(each.id, each.name, iso_time(each.created_at) or "") for each in found]
        print_table(("ID", "NAME", "CREATED"), rows)
    else:
        click.echo(f"No accounts in {database.name}.", err=True)


def _as_json(account: people.Account) -> dict[str, Any]:
    return {"id": account.id, "name": account.name, "created_at": iso_time(account.created_at)}
