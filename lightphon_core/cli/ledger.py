"""`lightphon ledger`: look into the books, and prove them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from lightphon_core.accounts import people
from lightphon_core.cli.options import json_option, open_database, print_json, settings_options
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger import audit, chart
from lightphon_core.ledger.statement import Line, Wallet, balances_of, statement, wallet_of
from lightphon_core.money import sats
from lightphon_core.settings import Settings


@click.group()
def ledger() -> None:
    """Look into the books, and prove them."""


@ledger.command()
@json_option
@settings_options
@click.pass_context
def verify(context: click.Context, settings: Settings, as_json: bool) -> None:
    """Rebuild every balance from the journal and compare. Exits with 1 if one is wrong, and names its account.

    The gateway may run meanwhile.
    """
    with open_database(settings) as database, database.snapshot() as connection:
        problems = audit.verify(connection)
    _report(problems, as_json, "The books are right.")
    if problems:
        context.exit(1)


@ledger.command()
@json_option
@settings_options
def rebuild(settings: Settings, as_json: bool) -> None:
    """Write every balance anew from the journal and the holds. Says what was wrong before."""
    with open_database(settings) as database, database.transaction() as connection:
        problems = audit.correct(connection)
    _report(problems, as_json, "The books were right.")


@ledger.command()
@click.argument("account")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many entries to show."
)
@json_option
@settings_options
def show(account: str, limit: int, as_json: bool, settings: Settings) -> None:
    """Show the balance and the latest entries of ACCOUNT: an account's name, or one of the ledger's own, like house."""
    with open_database(settings) as database, database.snapshot() as connection:
        user = None if account in chart.HOUSE_ACCOUNTS or ":" in account else people.get_account(connection, account)
        names = [account] if user is None else chart.personal(user.id)
        balance = {name: amount for name, (amount, _) in balances_of(connection, names).items()}
        wallet = None if user is None else wallet_of(connection, user.id)
        lines = statement(connection, names, limit=limit)
    if ":" in account and not balance:
        raise InvalidRequest(f"The ledger has no account {account!r}.", param="account", code="account_not_found")
    if as_json:
        print_json({"account": account, **_amounts(wallet, balance), "entries": [_as_json(line) for line in lines]})
        return
    for name, amount in _amounts(wallet, balance).items():
        if not isinstance(amount, dict):
            click.echo(f"{name.removesuffix('_msat').capitalize():<12}{sats(amount)} sats")
    if lines:
        click.echo()
        print_table(("AT", "SATS", "KIND", "NOTE", "ENTRY"), [_row(line) for line in lines])


def _amounts(wallet: Wallet | None, balance: dict[str, int]) -> dict[str, Any]:
    if wallet is None:
        return {"balance_msat": sum(balance.values())}
    return {
        "available_msat": wallet.available,
        "held_msat": wallet.held,
        "pending_msat": sum(wallet.pending.values()),
        "owed_msat": wallet.owed,
        "by_origin_msat": {str(origin): amount for origin, amount in wallet.by_origin.items()},
        "pending_by_origin_msat": {str(origin): amount for origin, amount in wallet.pending.items()},
    }


def _as_json(line: Line) -> dict[str, Any]:
    return {
        "id": line.id,
        "at": iso_time(line.at),
        "kind": line.kind,
        "note": line.note,
        "amount_msat": line.amount,
    }


def _row(line: Line) -> tuple[str, ...]:
    return (iso_time(line.at) or "", sats(line.amount), line.kind, line.note, line.id)


def _report(problems: Sequence[str], as_json: bool, otherwise: str) -> None:
    if as_json:
        print_json({"ok": not problems, "problems": list(problems)})
    for problem in () if as_json else problems:
        click.echo(problem)
    if not as_json and not problems:
        click.echo(otherwise)
