"""The command `lightphon`: put together here, one module for each command or family of commands."""

from __future__ import annotations

import click

from lightphon_core import log
from lightphon_core.cli.account import account
from lightphon_core.cli.backup import backup, restore
from lightphon_core.cli.credentials import agent_token, key, node_token
from lightphon_core.cli.deposit import deposit
from lightphon_core.cli.doctor import doctor
from lightphon_core.cli.group import ErrorsAsOneLine
from lightphon_core.cli.init import init
from lightphon_core.cli.ledger import ledger
from lightphon_core.cli.payout import payout
from lightphon_core.cli.plugins import plugins
from lightphon_core.cli.serve import serve
from lightphon_core.cli.settings import settings
from lightphon_core.plugins import add_commands, installed
from lightphon_core.settings import LogSettings

COMMANDS = (
    init,
    serve,
    doctor,
    backup,
    restore,
    settings,
    plugins,
    account,
    key,
    agent_token,
    node_token,
    ledger,
    payout,
    deposit,
)


def build() -> click.Group:
    """The whole command line."""

    @click.group(cls=ErrorsAsOneLine, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="lightphon-core", prog_name="lightphon")
    def lightphon() -> None:
        """A self-hosted, OpenAI-compatible AI gateway."""

    for command in COMMANDS:
        lightphon.add_command(command)
    add_commands(installed(), lightphon)
    return lightphon


def main() -> None:
    """The entry point of the script `lightphon`."""
    # What a command logs is for people, and never mixes with what it prints; `serve` logs as the settings say.
    log.configure(LogSettings())
    build().main(prog_name="lightphon")
