"""The command `lightphon-node`."""

import click

from lightphon_backend_gguf.node.cli.check import check
from lightphon_backend_gguf.node.cli.errors import DISTRIBUTION
from lightphon_backend_gguf.node.cli.run import run


@click.group()
@click.version_option(package_name=DISTRIBUTION, prog_name="lightphon-node")
def main() -> None:
    """Serve models of this machine through a LightPhon server."""


main.add_command(run)
main.add_command(check)
