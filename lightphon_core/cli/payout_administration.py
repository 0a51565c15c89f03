"""What an administrator's key can do with everybody's payouts: the rest of `lightphon payout`."""

from __future__ import annotations

from typing import Any

import click

from lightphon_core.cli.client import Client, client_options
from lightphon_core.cli.group import Failure
from lightphon_core.cli.options import json_option, print_json
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.log.lines import printable
from lightphon_core.money import sats

STATES = ("awaiting_approval", "held", "submitted", "unknown", "paid", "failed")


@click.command("all")
@click.option("--status", type=click.Choice(STATES), help="Only payouts of this status.")
@json_option
@client_options
def everybodys(status: str | None, as_json: bool, client: Client) -> None:
    """List everybody's latest payouts, and whether payouts are frozen."""
    found = client.ask("GET", "/api/admin/payouts" + (f"?status={status}" if status else ""))
    if as_json:
        print_json(found)
        return
    for each in found["freezes"]:
        click.echo(printable(f"Payouts through {each['provider']} are frozen: {each['reason']}") + "\n")
    print_table(
        ("ASKED FOR", "SATS", "STATE", "ACCOUNT", "PAYOUT"),
        [
            (
                iso_time(each["created_at"] * 1_000_000) or "",
                sats(each["amount_msat"]),
                each["status"],
                each["account_id"],
                each["id"],
            )
            for each in found["data"]
        ],
    )


@click.command()
@click.argument("payout_id")
@json_option
@client_options
def approve(payout_id: str, as_json: bool, client: Client) -> None:
    """Let the payout PAYOUT_ID be paid, which awaits approval."""
    _print(client.ask("POST", _path(payout_id, "approve")), as_json)


@click.command()
@click.argument("payout_id")
@click.option("--reason", required=True, metavar="TEXT", help="Why; whoever asked for it reads this.")
@json_option
@client_options
def reject(payout_id: str, reason: str, as_json: bool, client: Client) -> None:
    """Give the money of the payout PAYOUT_ID back, which was not sent yet."""
    _print(client.ask("POST", _path(payout_id, "reject"), {"reason": reason}), as_json)


@click.command("declare-failed")
@click.argument("payout_id")
@json_option
@client_options
def declare_failed(payout_id: str, as_json: bool, client: Client) -> None:
    """Give the money of the payout PAYOUT_ID back, of which the wallet knows nothing."""
    _print(client.ask("POST", _path(payout_id, "declare-failed")), as_json)


@click.command()
@click.option("--provider", help="Which provider; the only one there is, unless told.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; administrators read this.")
@json_option
@client_options
def freeze(provider: str | None, reason: str, as_json: bool, client: Client) -> None:
    """Send nothing until payouts are reconciled. They can be asked for, and wait."""
    made = client.ask("POST", "/api/admin/payouts/freeze", {"provider": provider, "reason": reason})
    if as_json:
        print_json(made)
    else:
        click.echo(f"Payouts through {made['provider']} are frozen. lightphon payout reconcile ends it.")


@click.command()
@click.option("--provider", help="Which provider; the only one there is, unless told.")
@click.option(
    "--adopt",
    multiple=True,
    metavar="REF=ACCOUNT",
    help="The payment REF was this account's: its name, its id, or the id of a payout that waits.",
)
@click.option("--ours", multiple=True, metavar="REF", help="The payment REF was the operator's own.")
@json_option
@client_options
@click.pass_context
def reconcile(
    context: click.Context,
    provider: str | None,
    adopt: tuple[str, ...],
    ours: tuple[str, ...],
    as_json: bool,
    client: Client,
) -> None:
    """Compare the books with the wallet, and pay out again. Exits with 1 while payments are unexplained."""
    explained = {"provider": provider, "adopt": dict(_adoption(each) for each in adopt), "ours": list(ours)}
    found = client.ask("POST", "/api/admin/payouts/reconcile", explained)
    if as_json:
        print_json(found)
    else:
        _report(found)
    if found["freeze"] is not None:
        context.exit(1)


def _report(found: dict[str, Any]) -> None:
    for each in found["restored"]:
        click.echo(f"In the books again: {_said(each)}")
    if found["freeze"] is None:
        click.echo("The books agree with the wallet. Payouts go on.")
        return
    click.echo("The wallet has sent payments that the books lack. Payouts stay frozen until each is explained:\n")
    print_table(
        ("SENT", "SATS", "PAYMENT"),
        [
            (iso_time(each["at"] * 1_000_000) or "", sats(each["amount_msat"]), each["ref"])
            for each in found["unexplained"]
        ],
    )
    click.echo("\nSay whose each was: --adopt PAYMENT=ACCOUNT, or --ours PAYMENT for your own.")


def _adoption(text: str) -> tuple[str, str]:
    ref, _, whose = text.partition("=")
    if not ref or not whose:
        raise Failure(f"{text!r} is not written as REF=ACCOUNT.")
    return ref, whose


def _path(payout_id: str, what: str) -> str:
    if not payout_id.replace("_", "").isalnum():
        raise Failure(f"{payout_id!r} is no id of a payout.")
    return f"/api/admin/payouts/{payout_id}/{what}"


def _print(made: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        click.echo(_said(made))


def _said(made: dict[str, Any]) -> str:
    said = f"{made['id']}, {sats(made['amount_msat'])} sats, {made['status'].replace('_', ' ')}"
    return printable(f"{said}: {made['reason']}" if made["reason"] else f"{said}.")
