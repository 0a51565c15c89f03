"""`lightphon-node run`."""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightphon_backend_gguf.node.cli.errors import DISTRIBUTION, Stop
from lightphon_backend_gguf.node.cli.models import located, model_options, server_key, settings, wished
from lightphon_backend_gguf.node.planning.config import ConfigError, NodeConfig, read_token
from lightphon_backend_gguf.node.planning.wishes import Given
from lightphon_backend_gguf.protocol.fields import is_node_name

if TYPE_CHECKING:
    from lightphon_backend_gguf.node.operator.schedule import Schedule

# What loads slowly is imported where it is used, so that `--help` is there at once.

TOKEN_VARIABLE = "LIGHTPHON_NODE_TOKEN"  # noqa: S105 - the variable's name
DEFAULT_DRAIN_S = 30.0


@click.command()
@model_options
@click.option("--server", metavar="URL", help="The server, as https://HOST.")
@click.option(
    "--token",
    metavar="TOKEN",
    help=f"Node token. Better given as {TOKEN_VARIABLE}, or in a file that `token_file` of the settings names: "
    "everybody on a machine can read its command lines.",
)
@click.option("--node-name", metavar="NAME", help="This node's name for clients.  [default: the host's name]")
@click.option(
    "--schedule",
    multiple=True,
    metavar="WINDOW",
    help='When to take jobs, in local time: "22:00-08:00", "sat,sun 00:00-24:00". Repeat it for several windows.',
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to finish running jobs for when stopped; a second Ctrl-C ends at once.  [default: 30]",
)
@click.option("--plain", is_flag=True, help="Log lines alone, in a terminal too, where otherwise a live view is drawn.")
@click.option("--verbose", is_flag=True, help="Log more.")
def run(
    given: Given,
    config: Path | None,
    threads: int | None,
    server: str | None,
    token: str | None,
    node_name: str | None,
    schedule: tuple[str, ...],
    drain_timeout: float | None,
    plain: bool,
    verbose: bool,
) -> None:
    """Serve each MODEL until stopped.

    A MODEL is the path of a GGUF file; a folder of them; hf:OWNER/REPOSITORY:QUANTIZATION or
    hf:OWNER/REPOSITORY/FILE.gguf, which is downloaded first; or openai:URL, a server that runs on this machine.
    Without any MODEL, those of the settings file.
    """
    file = settings(config)
    url, token, name = _link_url(server or file.node.server), _token(token, file), _name(node_name or file.node.name)
    windows = _schedule(schedule, file)
    wanted = wished(given, file)
    if not wanted:
        raise Stop("There is no model to serve: name one, or add a [[model]] to the settings file.")
    if drain_timeout is None:
        drain_timeout = file.node.drain_timeout

    from attrs import evolve

    from lightphon_backend_gguf.node.engines.base import EngineError
    from lightphon_backend_gguf.node.hardware import physical_cores
    from lightphon_backend_gguf.node.link.link import LinkRefused
    from lightphon_backend_gguf.node.log import make_log
    from lightphon_backend_gguf.node.models.gguf import GgufError
    from lightphon_backend_gguf.node.operator.operation import OperationOptions
    from lightphon_backend_gguf.node.operator.state import state_directory
    from lightphon_backend_gguf.node.planning.plan import PlanError, plan
    from lightphon_backend_gguf.node.program import Node, NodeFailed, NodeOptions

    state = state_directory(os.environ)
    options = NodeOptions(
        url=url,
        token=token,
        name=name,
        software=f"lightphon-node/{version(DISTRIBUTION)}",
        drain_timeout_s=DEFAULT_DRAIN_S if drain_timeout is None else drain_timeout,
        state=state,
        operation=OperationOptions(schedule=windows, max_jobs=given.max_jobs or file.node.max_jobs, state_dir=state),
    )
    found = located(wanted)

    async def serve(options: NodeOptions) -> None:
        cores = threads or file.node.threads or physical_cores()
        planned = await plan(found, threads=cores, server_key=server_key())
        await Node(options, planned, make_log(verbose=verbose)).run()

    try:
        if plain or not sys.stdout.isatty():
            asyncio.run(serve(options))
        else:
            from lightphon_backend_gguf.node.operator.view import TerminalView

            with TerminalView() as view:
                asyncio.run(serve(evolve(options, operation=evolve(options.operation, show=view.show))))
    except (GgufError, PlanError, EngineError, LinkRefused) as error:
        raise Stop(str(error)) from None
    except NodeFailed as error:
        raise click.ClickException(str(error)) from None


def _token(given: str | None, file: NodeConfig) -> str:
    """The command line's token, else the environment's, else that of the settings' token file."""
    token = given or os.environ.get(TOKEN_VARIABLE)
    if not token and file.node.token_file:
        try:
            token = read_token(file.folder / Path(file.node.token_file).expanduser())
        except ConfigError as error:
            raise Stop(str(error)) from None
    if not token:
        raise Stop(f"There is no node token: set {TOKEN_VARIABLE}, or name a file that holds it as token_file.")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise Stop("The node token is not one: it must be printable ASCII without spaces.")
    return token


def _schedule(given: Sequence[str], file: NodeConfig) -> "Schedule | None":
    from lightphon_backend_gguf.node.operator.schedule import parse_schedule

    try:
        return parse_schedule(given or file.node.schedule or ())
    except ValueError as error:
        raise Stop(f"{'--schedule' if given else 'schedule'}: {error}.") from None


def _name(name: str | None) -> str:
    """The name the operator gave, or the host's as far as it can be sent."""
    if name is None:
        name = "".join(c for c in socket.gethostname() if "!" <= c <= "~")[:64] or "node"
    if not is_node_name(name):
        raise Stop("--node-name: a name is 1 to 64 printable ASCII characters, without spaces at its ends.")
    return name


def _link_url(server: str | None) -> str:
    from lightphon_backend_gguf.node.link.address import link_url

    if server is None:
        raise Stop("There is no server: name it with --server https://HOST.")
    try:
        return link_url(server)
    except ValueError as error:
        raise Stop(f"--server: {error}.") from None
