"""`lightphon deposit`: fill a wallet of a running server."""

from __future__ import annotations

import time
from typing import Any

import click

from lightphon_core.cli.client import Client, client_options
from lightphon_core.cli.group import Failure
from lightphon_core.cli.options import json_option, print_json
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.money import sats

POLL_S = 1.0


@click.group()
def deposit() -> None:
    """Fill the wallet of a key's account, on a running server."""


@deposit.command("open")
@click.argument("amount", type=click.IntRange(min=1))
@click.option("--provider", help="How to pay, such as lightning; the only way there is, unless told.")
@click.option("--wait", is_flag=True, help="Wait until it is paid. Exits with 1 where it is not.")
@json_option
@client_options
@click.pass_context
def open_(context: click.Context, amount: int, provider: str | None, wait: bool, as_json: bool, client: Client) -> None:
    """Open a deposit of AMOUNT whole sats, and print what to pay."""
    asked = {"amount_sats": amount} | ({} if provider is None else {"provider": provider})
    made = client.ask("POST", "/api/deposits", asked)
    if as_json and not wait:
        print_json(made)
        return
    if not as_json:
        _say(made)
    if not wait:
        return
    ended = _until_over(client, made)
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
    click.echo(f"Deposit {made['id']} of {made['amount_sats']} sats is {made['status']}; pay it until {until}.")
    click.echo(made["invoice"] or made["checkout_url"] or "")


def _until_over(client: Client, made: dict[str, Any]) -> dict[str, Any]:
    while made["status"] in ("creating", "open"):
        time.sleep(POLL_S)
        found: dict[str, Any] = client.ask("GET", f"/api/deposits/{made['id']}")
        made = found
    return made


def _plain(deposit_id: str) -> str:
    if not deposit_id.replace("_", "").isalnum():
        raise Failure(f"{deposit_id!r} is no id of a deposit.")
    return deposit_id
