"""`lightphon demo-wallet`: the payer's side of the demo wallet, from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click
import httpx

from lightphon_core import LightPhonError
from lightphon_payment_lightning.wallets.demo import MAX_SATS, ROOT

TIMEOUT_S = 30.0

Command = Callable[..., Any]


class Refusal(LightPhonError):
    """What the server says to a request, or that it says nothing."""


def add_to(cli: click.Group) -> None:
    """Add the commands to `lightphon`."""

    @cli.group("demo-wallet")
    def demo_wallet() -> None:
        """Play the payer of a server whose Lightning wallet is play money."""

    @demo_wallet.command()
    @click.argument("invoice")
    @_server_options
    def pay(invoice: str, server: str, key: str, as_json: bool) -> None:
        """Pay INVOICE, which a deposit asked for."""
        answer = _post(server, key, "pay", {"invoice": invoice})
        click.echo(json.dumps(answer) if as_json else f"Paid {answer['amount_msat'] / 1_000:g} sats of play money.")

    @demo_wallet.command()
    @click.argument("amount_sats", type=click.IntRange(1, MAX_SATS))
    @_server_options
    def invoice(amount_sats: int, server: str, key: str, as_json: bool) -> None:
        """Print an invoice over AMOUNT_SATS, to withdraw to."""
        answer = _post(server, key, "invoice", {"amount_sats": amount_sats})
        click.echo(json.dumps(answer) if as_json else answer["invoice"])


def _server_options(command: Command) -> Command:
    server = click.option(
        "--server",
        envvar="LIGHTPHON_URL",
        show_envvar=True,
        default="http://127.0.0.1:8000",
        show_default=True,
        help="The server's address.",
    )
    key = click.option(
        "--key",
        envvar="LIGHTPHON_API_KEY",
        show_envvar=True,
        required=True,
        help="Any API key of the server. Better in the variable: command lines are seen by others.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
    return server(key(as_json(command)))


def _post(server: str, key: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            reply = client.post(
                f"{server.rstrip('/').removesuffix('/v1')}{ROOT}/{verb}",
                json=body,
                headers={"Authorization": f"Bearer {key}"},
            )
        answer = reply.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, UnicodeEncodeError):
        raise Refusal(f"{server} does not answer as a LightPhon server. Name another with --server.") from None
    if reply.status_code == 404:
        raise Refusal(f'{server} has no demo wallet: its settings need wallet = "demo" in [plugins.lightning].')
    if reply.is_error:
        raise Refusal(str(answer["error"]["message"]))
    return dict(answer)
