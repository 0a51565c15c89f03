"""`lightphon settings`: all that can be set."""

from __future__ import annotations

import click

from lightphon_core.plugins import Plugins, installed
from lightphon_core.settings import markdown


@click.command()
@click.option("--core", is_flag=True, help="Leave the plugins' settings out.")
def settings(core: bool) -> None:
    """Print the reference of every setting, those of the installed plugins too, as Markdown."""
    click.echo(markdown({} if core else plugin_schemas()), nl=False)


def plugin_schemas() -> dict[str, type]:
    """The settings classes of the installed plugins, by the plugin's name. One that cannot be imported has none."""
    return Plugins(installed(), allow=None, block=(), order=()).schemas()
