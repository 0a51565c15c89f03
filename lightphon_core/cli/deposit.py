"""`lightphon deposit`: fill a wallet of a running server."""

from __future__ import annotations

from typing import Any

import click

from lightphon_core.cli.client import Client, client_options
from lightphon_core.cli.group import Failure
from lightphon_core.cli.options import json_option, print_json
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.money import euros, sats


@click.group()
def deposit() -> None:
    """Fill the wallet of a key's account, on a running server."""


@deposit.command("open")
@click.argument("amount", type=click.IntRange(min=1), required=False)
@click.option("--eur", metavar="EUROS", help="Pay so many euros instead, such as 12.50: by card.")
@click.option("--provider", help="How to pay, such as lightning; the only way there is, unless told.")
@click.option("--wait", is_flag=True, help="Wait until it is paid. Exits with 1 where it is not.")
@json_option
@client_options
@click.pass_context
def open_(
    context: click.Context,
    amount: int | None,
    eur: str | None,
    provider: str | None,
    wait: bool,
    as_json: bool,
    client: Client,
) -> None:
    """Open a deposit of AMOUNT whole sats, or of so many euros, and print what to pay."""
    if (amount is None) == (eur is None):
        raise click.UsageError("Say either how many sats, or how many euros with --eur.")
    asked: dict[str, Any] = {"amount_sats": amount} if eur is None else {"amount_eur": eur}
    made = client.ask("POST", "/api/deposits", asked | ({} if provider is None else {"provider": provider}))
    if as_json and not wait:
        print_json(made)
        return
    if not as_json:
        _say(made)
    if not wait:
        return
    ended = client.until(f"/api/deposits/{made['id']}", lambda found: found["status"] not in ("creating", "open"))
    if as_json:
        print_json(ended)
    elif ended["status"] == "settled":
        click.echo(f"Paid: {sats(ended['received_msat'])} sats are in the wallet.")
    else:
        click.echo(f"Not paid: the deposit is {ended['status']}. What is paid later is credited too.")
    if ended["status"] != "settled":
        context.exit(1)


@deposit.command()
@click.argument("deposit_id")
@json_option
@client_options
def show(deposit_id: str, as_json: bool, client: Client) -> None:
    """Show one deposit."""
    found = client.ask("GET", f"/api/deposits/{_plain(deposit_id)}")
    if as_json:
        print_json(found)
    else:
        _say(found)


@deposit.command("list")
@json_option
@client_options
def list_(as_json: bool, client: Client) -> None:
    """List the latest deposits."""
    found = client.ask("GET", "/api/deposits")
    if as_json:
        print_json(found)
        return
    print_table(
        ("OPENED", "SATS", "PROVIDER", "STATUS", "DEPOSIT"),
        [
            (
                iso_time(each["created_at"] * 1_000_000) or "",
                str(each["amount_sats"]),
                each["provider"],
                each["status"],
                each["id"],
            )
            for each in found["data"]
        ],
    )


def _say(made: dict[str, Any]) -> None:
    if made["play_money"]:
        click.echo("This is play money: it is worth nothing.")
    until = iso_time(made["expires_at"] * 1_000_000)
    price = f"{euros(made['price_cents'])} {made['currency']} for " if made["currency"] else ""
    amount = f"{price}{made['amount_sats']} sats"
    if made["status"] != "open":
        click.echo(f"Deposit {made['id']} of {amount} is {made['status']}.")
        return
    click.echo(f"Deposit {made['id']} of {amount} is open; pay it until {until}.")
    click.echo(made["invoice"] or made["checkout_url"] or "")


def _plain(deposit_id: str) -> str:
    if not deposit_id.replace("_", "").isalnum():
        raise Failure(f"{deposit_id!r} is no id of a deposit.")
    return deposit_id
