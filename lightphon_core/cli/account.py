"""`lightphon account`: the people whom LightPhon serves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from lightphon_core.accounts import people
from lightphon_core.cli.options import in_msat, json_option, open_database, print_json, settings_options
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.commands import LedgerError, Post
from lightphon_core.ledger.statement import wallet_of
from lightphon_core.ledger.store import carry_out
from lightphon_core.money import sats
from lightphon_core.settings import Settings

reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; it stands in the journal for good.")


@click.group()
def account() -> None:
    """Create and list accounts, and adjust what they have."""


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


@account.command()
@click.argument("name")
@click.argument("amount", metavar="SATS", callback=in_msat)
@reason_option
@json_option
@settings_options
def credit(name: str, amount: int, reason: str, as_json: bool, settings: Settings) -> None:
    """Give the account NAME an amount of SATS to spend."""
    _adjust(adjustment.credit, name, amount, reason, as_json, settings)


@account.command()
@click.argument("name")
@click.argument("amount", metavar="SATS", callback=in_msat)
@reason_option
@json_option
@settings_options
def debit(name: str, amount: int, reason: str, as_json: bool, settings: Settings) -> None:
    """Take an amount of SATS back that was credited to the account NAME."""
    _adjust(adjustment.debit, name, amount, reason, as_json, settings)


def _adjust(
    command: Callable[[str, int, str], Post], name: str, amount: int, reason: str, as_json: bool, settings: Settings
) -> None:
    with open_database(settings) as database, database.transaction() as connection:
        adjusted = people.get_account(connection, name)
        (posted,) = carry_out(connection, [command(adjusted.id, amount, reason)])
        if isinstance(posted, LedgerError):
            raise posted
        wallet = wallet_of(connection, adjusted.id)
    if as_json:
        print_json({"entry": posted.entry, "account": name, "available_msat": wallet.available})
    else:
        click.echo(f"{name} has {sats(wallet.available)} sats available now.")


def _as_json(account: people.Account) -> dict[str, Any]:
    return {"id": account.id, "name": account.name, "created_at": iso_time(account.created_at)}
