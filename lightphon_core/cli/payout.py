"""`lightphon payout`: withdraw money from a wallet of a running server."""

from __future__ import annotations

from typing import Any

import click

from lightphon_core.cli.client import Client, client_options
from lightphon_core.cli.group import Failure
from lightphon_core.cli.options import json_option, print_json
from lightphon_core.cli.payout_administration import approve, declare_failed, everybodys, freeze, reconcile, reject
from lightphon_core.cli.report import iso_time, print_table
from lightphon_core.log.lines import printable
from lightphon_core.money import sats

ENDED = ("paid", "failed")


@click.group()
def payout() -> None:
    """Withdraw money from the wallet of a key's account, on a running server; and look after everybody's payouts."""


@payout.command()
@click.argument("destination")
@click.argument("amount", type=click.IntRange(min=1), required=False)
@click.option("--wait", is_flag=True, help="Wait until it has ended. Exits with 1 where it has failed.")
@click.option("--once", metavar="KEY", help="An Idempotency-Key: with the same one, a payout is asked for once.")
@json_option
@client_options
@click.pass_context
def send(
    context: click.Context,
    destination: str,
    amount: int | None,
    wait: bool,
    once: str | None,
    as_json: bool,
    client: Client,
) -> None:
    """Pay to DESTINATION, a Lightning invoice, or an address with an AMOUNT of whole sats."""
    asked = {"destination": destination} | ({} if amount is None else {"amount_sats": amount})
    made = client.ask("POST", "/api/payouts", asked, headers={} if once is None else {"idempotency-key": once})
    if wait:
        if not as_json:
            _say(made)
        made = client.until(f"/api/payouts/{made['id']}", lambda found: found["status"] in ENDED)
    if as_json:
        print_json(made)
    else:
        _say(made)
    if wait and made["status"] == "failed":
        context.exit(1)


@payout.command()
@click.argument("payout_id")
@json_option
@client_options
def show(payout_id: str, as_json: bool, client: Client) -> None:
    """Show one payout."""
    if not payout_id.replace("_", "").isalnum():
        raise Failure(f"{payout_id!r} is no id of a payout.")
    found = client.ask("GET", f"/api/payouts/{payout_id}")
    if as_json:
        print_json(found)
    else:
        _say(found)


@payout.command("list")
@json_option
@client_options
def list_(as_json: bool, client: Client) -> None:
    """List the latest payouts of the key's account."""
    found = client.ask("GET", "/api/payouts")
    if as_json:
        print_json(found)
        return
    print_table(
        ("ASKED FOR", "SATS", "FEE", "STATUS", "PAYOUT"),
        [
            (
                iso_time(each["created_at"] * 1_000_000) or "",
                sats(each["amount_msat"]),
                "" if each["fee_msat"] is None else sats(each["fee_msat"]),
                each["status"],
                each["id"],
            )
            for each in found["data"]
        ],
    )


@payout.command()
@click.argument("address", required=False)
@click.argument("threshold", type=click.IntRange(min=1), required=False)
@click.option("--off", is_flag=True, help="Have nothing paid by itself any more.")
@json_option
@client_options
def automatic(address: str | None, threshold: int | None, off: bool, as_json: bool, client: Client) -> None:
    """Have all that can be withdrawn paid to ADDRESS by itself, whenever there are THRESHOLD sats. Without both, show
    what is set up."""
    path = "/api/payouts/automatic"
    if off:
        found = client.ask("DELETE", path)
    elif address is None:
        found = client.ask("GET", path)
    elif threshold is None:
        raise Failure("An address needs a THRESHOLD in sats beside it.")
    else:
        found = client.ask("PUT", path, {"destination": address, "threshold_sats": threshold})
    if as_json:
        print_json(found)
        return
    to = f"{found['destination']}, from {found['threshold_sats']} sats on"
    click.echo(printable(f"No longer paid by itself: {to}." if off else f"Paid by itself: {to}."))
    if found["trouble"] and not off:
        click.echo(printable(f"The last one did not work: {found['trouble']}"))


for _command in (everybodys, approve, reject, declare_failed, freeze, reconcile):
    payout.add_command(_command)


def _say(made: dict[str, Any]) -> None:
    state = made["status"].replace("_", " ")
    said = f"Payout {made['id']} of {sats(made['amount_msat'])} sats is {state}"
    if made["fee_msat"] is not None:
        said += f"; the network took {sats(made['fee_msat'])} sats"
    elif made["reason"]:
        said += f": {made['reason'].rstrip('.')}"
    click.echo(printable(f"{said}."))
