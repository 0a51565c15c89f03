"""The command `lightphon-node`."""

import asyncio
import os
import socket
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightphon_backend_gguf.node import operate_cli
from lightphon_backend_gguf.protocol.fields import is_model_id, is_node_name
from lightphon_backend_gguf.protocol.messages import PriceMessage

if TYPE_CHECKING:
    from lightphon_backend_gguf.node.schedule import Schedule

# What loads slowly is imported where it is used, so that `--help` is there at once.

DISTRIBUTION = "lightphon-backend-gguf"
DEFAULT_SLOTS = 2
TOKEN_VARIABLE = "LIGHTPHON_NODE_TOKEN"  # noqa: S105 - the variable's name


class Stop(click.ClickException):
    """One line on standard error, then exit status 2."""

    exit_code = 2


@click.group()
@click.version_option(package_name=DISTRIBUTION, prog_name="lightphon-node")
def main() -> None:
    """Serve models of this machine through a LightPhon server."""


operate_cli.add_to(main)


@main.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--server", required=True, metavar="URL", help="The server, as https://HOST.")
@click.option(
    "--token",
    envvar=TOKEN_VARIABLE,
    metavar="TOKEN",
    help=f"Node token. Better given as {TOKEN_VARIABLE}: everybody on a machine can read its command lines.",
)
@click.option("--name", "names", multiple=True, metavar="ID", help="Model id for clients; repeat it for each MODEL.")
@click.option("--node-name", metavar="NAME", help="This node's name for clients.  [default: the host's name]")
@click.option("--slots", default=DEFAULT_SLOTS, show_default=True, type=click.IntRange(1, 1024), help="Jobs at once.")
@click.option(
    "--context",
    type=click.IntRange(16, 2**31 - 1),
    help="Tokens for each job, prompt and answer.  [default: 8192, or what the model was trained for if that is less]",
)
@click.option(
    "--price",
    metavar="SATS",
    help="Sats for a minute of inference, or any of minute=, prompt=, completion= (both for a million tokens) and "
    "request=, with commas between.  [default: the server's own price]",
)
@click.option("--max-jobs", type=click.IntRange(1, 4096), help="Jobs at once, over all models.  [default: all slots]")
@click.option(
    "--schedule",
    multiple=True,
    metavar="WINDOW",
    help='When to take jobs, in local time: "22:00-08:00", "sat,sun 00:00-24:00". Repeat it for several windows.',
)
@click.option("--threads", type=click.IntRange(1, 512), help="CPU threads.  [default: one for each core]")
@click.option(
    "--drain-timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to finish running jobs for when stopped; a second Ctrl-C ends at once.",
)
@click.option("--plain", is_flag=True, help="Log lines alone, in a terminal too, where otherwise a live view is drawn.")
@click.option("--verbose", is_flag=True, help="Log more.")
def run(
    models: tuple[Path, ...],
    server: str,
    token: str | None,
    names: tuple[str, ...],
    node_name: str | None,
    slots: int,
    context: int | None,
    price: str | None,
    max_jobs: int | None,
    schedule: tuple[str, ...],
    threads: int | None,
    drain_timeout: float,
    plain: bool,
    verbose: bool,
) -> None:
    """Serve each MODEL, the path of a GGUF file, until stopped."""
    url, token, name = _link_url(server), _checked_token(token), _checked_name(node_name)
    _check_ids(names, len(models))
    asked, windows = _checked_price(price), _checked_schedule(schedule)

    from attrs import evolve

    from lightphon_backend_gguf.node.control import state_dir
    from lightphon_backend_gguf.node.engines.base import EngineError
    from lightphon_backend_gguf.node.gguf import GgufError
    from lightphon_backend_gguf.node.hardware import physical_cores
    from lightphon_backend_gguf.node.link import LinkRefused
    from lightphon_backend_gguf.node.log import make_log
    from lightphon_backend_gguf.node.operation import OperationOptions
    from lightphon_backend_gguf.node.plan import PlanError, plan
    from lightphon_backend_gguf.node.program import Node, NodeFailed, NodeOptions

    options = NodeOptions(
        url=url,
        token=token,
        name=name,
        software=f"lightphon-node/{version(DISTRIBUTION)}",
        drain_timeout_s=drain_timeout,
        operation=OperationOptions(schedule=windows, max_jobs=max_jobs, state_dir=state_dir(os.environ)),
    )

    async def serve(options: NodeOptions) -> None:
        slots_each = min(slots, max_jobs or slots)
        planned = plan(
            models, names, slots=slots_each, context=context, threads=threads or physical_cores(), price=asked
        )
        await Node(options, planned, make_log(verbose=verbose)).run()

    try:
        if plain or not sys.stdout.isatty():
            asyncio.run(serve(options))
        else:
            from lightphon_backend_gguf.node.view import TerminalView

            with TerminalView() as view:
                asyncio.run(serve(evolve(options, operation=evolve(options.operation, show=view.show))))
    except (GgufError, PlanError, EngineError, LinkRefused) as error:
        raise Stop(str(error)) from None
    except NodeFailed as error:
        raise click.ClickException(str(error)) from None


def _checked_price(price: str | None) -> PriceMessage | None:
    from lightphon_backend_gguf.node.price import parse_price

    try:
        return None if price is None else parse_price(price)
    except ValueError as error:
        raise Stop(f"--price: {error}.") from None


def _checked_schedule(windows: tuple[str, ...]) -> "Schedule | None":
    from lightphon_backend_gguf.node.schedule import parse_schedule

    try:
        return parse_schedule(windows)
    except ValueError as error:
        raise Stop(f"--schedule: {error}.") from None


def _checked_token(token: str | None) -> str:
    if not token:
        raise Stop(f"There is no node token: set {TOKEN_VARIABLE} or give --token.")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise Stop("The node token is not one: it must be printable ASCII without spaces.")
    return token


def _checked_name(name: str | None) -> str:
    """The name the operator gave, or the host's as far as it can be sent."""
    if name is None:
        name = "".join(c for c in socket.gethostname() if "!" <= c <= "~")[:64] or "node"
    if not is_node_name(name):
        raise Stop("--node-name: a name is 1 to 64 printable ASCII characters, without spaces at its ends.")
    return name


def _link_url(server: str) -> str:
    from lightphon_backend_gguf.node.address import link_url

    try:
        return link_url(server)
    except ValueError as error:
        raise Stop(f"--server: {error}.") from None


def _check_ids(names: tuple[str, ...], models: int) -> None:
    if len(names) > models:
        raise Stop("There are more --name than models.")
    for name in names:
        if not is_model_id(name):
            raise Stop(
                f"--name: {name!r} is not an id: a letter or digit, then at most 199 of A-Z a-z 0-9 . _ : / @ + -"
            )
