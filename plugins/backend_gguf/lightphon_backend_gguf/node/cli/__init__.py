"""The command `lightphon-node`."""

import click

from lightphon_backend_gguf.node.cli.check import check
from lightphon_backend_gguf.node.cli.errors import DISTRIBUTION
from lightphon_backend_gguf.node.cli.operate import pause, resume, status, stop
from lightphon_backend_gguf.node.cli.run import run


@click.group()
@click.version_option(package_name=DISTRIBUTION, prog_name="lightphon-node")
def main() -> None:
    """Serve models of this machine through a LightPhon server."""


for command in (run, check, pause, resume, status, stop):
    main.add_command(command)
