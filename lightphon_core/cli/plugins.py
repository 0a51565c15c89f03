"""`lightphon plugins`: what is installed, and what is wrong with it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from lightphon_core.cli.options import json_option, print_json, settings_options
from lightphon_core.cli.report import print_table
from lightphon_core.plugins import Plugin
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database


@click.command()
@json_option
@settings_options
@click.pass_context
def plugins(context: click.Context, settings: Settings, as_json: bool) -> None:
    """List the plugins: name, version, hooks and state. Exits with 1 if one is broken."""
    from lightphon_core.web.assembly import assemble

    with empty_database() as database:
        found = assemble(settings, database, os.environ).plugins.plugins
    if as_json:
        print_json({"plugins": [_as_json(plugin) for plugin in found]})
    else:
        rows = [(each.name, each.distribution, each.version, each.state, " ".join(each.hooks)) for each in found]
        print_table(("NAME", "PACKAGE", "VERSION", "STATE", "HOOKS"), rows)
        for plugin in found:
            if plugin.error is not None:
                click.echo(f"\n{plugin.error.message}", err=True)
                click.echo(_traceback(plugin), err=True, nl=False)
    if any(plugin.error for plugin in found):
        context.exit(1)


@contextlib.contextmanager
def empty_database() -> Iterator[Database]:
    """A database that is gone at the end, for plugins that are built to be looked at: the server's may be out of reach,
    and is not made by looking."""
    with (
        tempfile.TemporaryDirectory(prefix="lightphon-") as directory,
        Database(f"sqlite:///{Path(directory) / 'empty.db'}") as database,
    ):
        yield database


def _as_json(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "package": plugin.distribution,
        "version": plugin.version,
        "state": plugin.state,
        "hooks": list(plugin.hooks),
        "error": plugin.error.message if plugin.error else None,
    }


def _traceback(plugin: Plugin) -> str:
    cause = plugin.error.__cause__ if plugin.error else None
    return "" if cause is None else "".join(traceback.format_exception(cause))
