"""`lightphon account`: the people whom LightPhon serves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from lightphon_core.accounts import people
from lightphon_core.accounts.invites import create_invite
from lightphon_core.accounts.membership import set_password
from lightphon_core.accounts.passwords import hash_password
from lightphon_core.cli.options import (
    ask_password,
    first_line,
    in_msat,
    json_option,
    open_database,
    print_json,
    settings_options,
)
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.commands import LedgerError, Post
from lightphon_core.ledger.statement import wallet_of
from lightphon_core.ledger.store import carry_out
from lightphon_core.money import sats
from lightphon_core.settings import Settings
from lightphon_core.storage.schema import microseconds

reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; it stands in the journal for good.")


@click.group()
def account() -> None:
    """Create, list, invite and block accounts, and adjust what they have."""


password_option = click.option(
    "--password-stdin", is_flag=True, help="Read a password for logging in from the first line of stdin."
)


@account.command()
@click.argument("name")
@password_option
@click.option("--admin", is_flag=True, help="Make it an administrator.")
@json_option
@settings_options
def create(name: str, password_stdin: bool, admin: bool, as_json: bool, settings: Settings) -> None:
    """Create the account NAME. Without a password it serves its keys, and nobody can log in to it."""
    hashed = hash_password(first_line()) if password_stdin else None
    with open_database(settings, make=True) as database, database.transaction() as connection:
        made = people.create_account(connection, name, now=time.time(), password_hash=hashed, admin=admin)
    if as_json:
        print_json(_as_json(made))
    else:
        click.echo(f"Account {made.name} created. Its id is {made.id}.")


@account.command()
@click.argument("name")
@password_option
@settings_options
def password(name: str, password_stdin: bool, settings: Settings) -> None:
    """Give the account NAME a new password. It is logged out everywhere."""
    with open_database(settings) as database:
        with database.snapshot() as connection:
            people.get_account(connection, name)  # before anyone types a password for nothing
        text = first_line() if password_stdin else ask_password()
        hashed = hash_password(text)
        with database.transaction() as connection:
            set_password(connection, people.get_account(connection, name).id, hashed)
    click.echo(f"{name} has a new password, and is logged out everywhere.")


@account.command()
@click.option("--days", type=click.IntRange(1, 365), default=7, show_default=True, help="How long it is good for.")
@json_option
@settings_options
def invite(days: int, as_json: bool, settings: Settings) -> None:
    """Create an invitation, which lets one person register. It is shown once."""
    with open_database(settings) as database, database.transaction() as connection:
        code = create_invite(connection, now=time.time(), lifetime_s=days * 86_400)
    if as_json:
        print_json({"invite": code, "days": days})
    else:
        address = settings.server.public_url or f"http://{settings.server.host}:{settings.server.port}"
        click.echo(f"New invitation, good for {days} days and one person, who registers at:\n")
        click.echo(f"    {address.rstrip('/')}/register?invite={code}\n")
    if settings.accounts.registration == "closed":
        click.echo('Registration is closed: set `registration = "invite"` of [accounts].', err=True)


@account.command()
@click.argument("name")
@settings_options
def block(name: str, settings: Settings) -> None:
    """Block the account NAME: no log-in, and none of its keys and tokens work."""
    with open_database(settings) as database, database.transaction() as connection:
        people.set_blocked(connection, people.get_account(connection, name), microseconds(time.time()))
    click.echo(f"{name} is blocked.")


@account.command()
@click.argument("name")
@settings_options
def unblock(name: str, settings: Settings) -> None:
    """Let the account NAME in again."""
    with open_database(settings) as database, database.transaction() as connection:
        people.set_blocked(connection, people.get_account(connection, name), None)
    click.echo(f"{name} is no longer blocked.")


@account.command()
@click.argument("name")
@click.option("--remove", is_flag=True, help="Take it back.")
@settings_options
def admin(name: str, remove: bool, settings: Settings) -> None:
    """Make the account NAME an administrator's, who may see and change what is everybody's."""
    with open_database(settings) as database, database.transaction() as connection:
        found = people.get_account(connection, name)
        if remove:
            people.set_admin(connection, found, None)
        elif found.admin_since is None:
            people.set_admin(connection, found, microseconds(time.time()))
    click.echo(f"{name} is {'no longer' if remove else 'now'} an administrator.")


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
        print_table(("ID", "NAME", "CREATED", "ADMIN SINCE", "BLOCKED SINCE"), [_row(each) for each in found])
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


def _row(account: people.Account) -> tuple[str, ...]:
    times = (account.created_at, account.admin_since, account.blocked_at)
    return (account.id, account.name, *(iso_time(each) or "" for each in times))


def _as_json(account: people.Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "created_at": iso_time(account.created_at),
        "is_admin": account.admin_since is not None,
        "blocked_at": iso_time(account.blocked_at),
    }
