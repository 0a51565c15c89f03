"""`lightphon-node check`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lightphon_backend_gguf.node.cli.models import model_options, server_key, settings, wished
from lightphon_backend_gguf.node.models.sources import HubSource
from lightphon_backend_gguf.node.planning.wishes import Given, engines_of

if TYPE_CHECKING:
    from lightphon_backend_gguf.node.planning.preview import NotHere

# What loads slowly is imported where it is used, as in `run`.


@click.command()
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(given: Given, config: Path | None, threads: int | None, as_json: bool) -> None:
    """Tell what `run` would run: the machine, the engine, and each MODEL's facts, memory and price.

    Downloads and loads nothing. Exit status 1 if something stands in the way, or a GPU would lie idle.
    """
    from attrs import asdict

    from lightphon_backend_gguf.node.engines.installed import installed
    from lightphon_backend_gguf.node.engines.kinds import ENGINES
    from lightphon_backend_gguf.node.hardware import machine, physical_cores, survey
    from lightphon_backend_gguf.node.planning import check as checking
    from lightphon_backend_gguf.node.planning.preview import preview

    file = settings(config)
    wanted = wished(given, file)
    cores = threads or file.node.threads or physical_cores()

    async def report_on() -> checking.Report:
        reports, wrong = await preview(wanted, _look, threads=cores, server_key=server_key())
        hardware = await survey()
        found = await asyncio.gather(*map(installed, engines_of(wanted, ENGINES[0])))
        engines = [engine for engine in found if engine is not None]
        return checking.judge(hardware, machine(), engines, reports, python=sys.executable, more=wrong)

    report = asyncio.run(report_on())
    click.echo(json.dumps(asdict(report)) if as_json else "\n".join(checking.lines(report)))
    if report.problems:
        raise click.exceptions.Exit(1)


def _look(source: HubSource) -> "Path | NotHere":
    from lightphon_backend_gguf.node.models.huggingface.errors import HubError
    from lightphon_backend_gguf.node.models.huggingface.hub import HubModels
    from lightphon_backend_gguf.node.planning.preview import LookFailed, NotHere

    try:
        found = HubModels(lambda line: click.echo(line, err=True)).look(source)
    except HubError as error:
        raise LookFailed(str(error)) from None
    return found if isinstance(found, Path) else NotHere(found.files[0].name, found.size)
