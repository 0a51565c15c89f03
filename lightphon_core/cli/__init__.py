"""The command `lightphon`: put together here, one module for each command or family of commands."""

from __future__ import annotations

import click

from lightphon_core.cli.account import account
from lightphon_core.cli.credentials import agent_token, key, node_token
from lightphon_core.cli.group import ErrorsAsOneLine
from lightphon_core.cli.ledger import ledger
from lightphon_core.cli.plugins import plugins
from lightphon_core.cli.serve import serve
from lightphon_core.plugins import add_commands, installed


def build() -> click.Group:
    """The whole command line."""

    @click.group(cls=ErrorsAsOneLine, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="lightphon-core", prog_name="lightphon")
    def lightphon() -> None:
        """A self-hosted, OpenAI-compatible AI gateway."""

    for command in (serve, plugins, account, key, agent_token, node_token, ledger):
        lightphon.add_command(command)
    add_commands(installed(), lightphon)
    return lightphon


def main() -> None:
    """The entry point of the script `lightphon`."""
    build().main(prog_name="lightphon")
