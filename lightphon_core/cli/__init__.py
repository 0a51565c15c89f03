"""The command `lightphon`: put together here, one module for each command or family of commands."""

from __future__ import annotations

import click

from lightphon_core.cli.group import Commands, Listed
from lightphon_core.plugins import add_commands, installed

LISTED = {
    "init": Listed("init:init", "Make the data directory, a settings file, the database and an administrator."),
    "serve": Listed("serve:serve", "Run the gateway until Ctrl-C, SIGTERM or SIGHUP."),
    "doctor": Listed(
        "doctor:doctor",
        "Check settings, plugins, database, backups, disk, clock, files and addresses, and say what to do about each.",
    ),
    "backup": Listed("backup:backup", "Copy the database to FILE."),
    "restore": Listed("backup:restore", "Make the database what the backup FILE is."),
    "settings": Listed(
        "settings:settings", "Print the reference of every setting, those of the installed plugins too, as Markdown."
    ),
    "plugins": Listed("plugins:plugins", "List the plugins: name, version, hooks and state."),
    "account": Listed("account:account", "Create, list, invite and block accounts, and adjust what they have."),
    "key": Listed("credentials:key", "Create, list and revoke API keys: what clients send as a bearer token."),
    "agent-token": Listed(
        "credentials:agent_token", "Create, list and revoke agent tokens: what clients have in their base URL."
    ),
    "node-token": Listed(
        "credentials:node_token", "Create, list and revoke node tokens: what a GPU node connects with."
    ),
    "ledger": Listed("ledger:ledger", "Look into the books, and prove them."),
    "payout": Listed(
        "payout:payout",
        "Withdraw money from the wallet of a key's account, on a running server; and look after everybody's payouts.",
    ),
    "deposit": Listed("deposit:deposit", "Fill the wallet of a key's account, on a running server."),
}
"""The commands in the order that `lightphon --help` has them."""


def build() -> click.Group:
    """The whole command line."""

    @click.group(
        cls=Commands,
        listed=LISTED,
        others=lambda group: add_commands(installed(), group),
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    @click.version_option(package_name="lightphon-core", prog_name="lightphon")
    def lightphon() -> None:
        """A self-hosted, OpenAI-compatible AI gateway."""

    made: click.Group = lightphon
    return made


def main() -> None:
    """The entry point of the script `lightphon`."""
    from lightphon_core import log
    from lightphon_core.settings import LogSettings

    # What a command logs is for people, and never mixes with what it prints; `serve` logs as the settings say.
    log.configure(LogSettings())
    build().main(prog_name="lightphon")
