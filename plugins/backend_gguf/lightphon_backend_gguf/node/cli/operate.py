"""`lightphon-node pause`, `resume`, `status` and `stop`: commands to a node that runs on this machine."""

import json
import os
from pathlib import Path
from typing import Any

import click

# What loads slowly is imported where it is used, so that `--help` is there at once.


class NotReached(click.ClickException):
    """One line on standard error, then exit status 1."""


def node_option(function: Any) -> Any:
    """The option --node-name, to tell several nodes apart."""
    return click.option("--node-name", metavar="NAME", help="Which node, where several run here.")(function)


@click.command()
@node_option
def pause(node_name: str | None) -> None:
    """Take no new jobs until `resume`; those that run finish."""
    click.echo(_ask("pause", node_name).message)


@click.command()
@node_option
def resume(node_name: str | None) -> None:
    """Take jobs again after `pause`, when the schedule allows it."""
    click.echo(_ask("resume", node_name).message)


@click.command()
@node_option
def stop(node_name: str | None) -> None:
    """Finish the running jobs and end, as Ctrl-C does; a second time: end at once."""
    click.echo(_ask("stop", node_name).message)


@click.command()
@node_option
@click.option("--json", "as_json", is_flag=True, help="For programs; amounts in msat.")
def status(node_name: str | None, as_json: bool) -> None:
    """Say how the node is doing: its link, models and jobs, its prices, and what its account has earned."""
    from cattrs import structure

    from lightphon_backend_gguf.node.operator.status import Status, to_lines

    found = _ask("status", node_name).status
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(to_lines(structure(found, Status))))


def _ask(command: Any, node_name: str | None) -> Any:
    from lightphon_backend_gguf.node.operator.control import ControlError, ask

    try:
        return ask(_chosen(_running(), node_name), command)
    except ControlError as error:
        raise NotReached(str(error)) from None


def _running() -> dict[Path, str]:
    """The nodes that run here, by name. One that hangs hides no other, unless it is the only one."""
    from lightphon_backend_gguf.node.operator.control import ControlError, NotRunning, ask, sockets
    from lightphon_backend_gguf.node.operator.state import state_directory

    names: dict[Path, str] = {}
    hangs: ControlError | None = None
    for path in sockets(state_directory(os.environ)):
        try:
            names[path] = str(ask(path, "status").status["name"])
        except NotRunning:
            continue
        except ControlError as error:
            hangs = error
    if hangs and not names:
        raise hangs
    return names


def _chosen(nodes: dict[Path, str], node_name: str | None) -> Path:
    """The only node, or the only one of that name."""
    found = [path for path, name in nodes.items() if node_name in (None, name)]
    if not nodes:
        raise NotReached("No node of yours runs on this machine.")
    if not found:
        raise NotReached(f"No node named {node_name!r} runs here; these do: {', '.join(sorted(nodes.values()))}.")
    if len(found) > 1:
        names = ", ".join(sorted(nodes[path] for path in found))
        raise NotReached(f"Several nodes run here ({names}): say which with --node-name.")
    return found[0]
