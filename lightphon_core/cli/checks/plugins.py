"""Whether the plugins can be built, and whether the settings name any that are not there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightphon_core.cli.checks.finding import Finding, ok, problem, warning
from lightphon_core.errors import ConfigurationError
from lightphon_core.plugins import Plugin
from lightphon_core.settings import Settings, unknown_variables
from lightphon_core.storage.engine import Database

CHECK = "plugins"


def check_plugins(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Build the plugins and the application as the server does, over an empty database of their own."""
    from lightphon_core.web.app import create_app
    from lightphon_core.web.assembly import assemble

    with (
        tempfile.TemporaryDirectory(prefix="lightphon-doctor-") as directory,
        Database(f"sqlite:///{Path(directory) / 'empty.db'}") as database,
    ):
        plugins = assemble(settings, database, environ).plugins
        yield from _strange_names(settings, plugins.plugins)
        yield from strange_variables(environ, plugins.schemas())
        broken = [plugin for plugin in plugins.plugins if plugin.error is not None]
        for plugin in broken:
            yield problem(CHECK, str(plugin.error), "Mend it, or add its name to `block` of [plugins].")
        if broken:
            return
        try:
            create_app(settings, database, environ)
        except ConfigurationError as error:
            yield problem(CHECK, error.message, "Mend it: the server does not start.")
        except Exception as error:  # noqa: BLE001 - what plugins bring may be anything
            yield problem(CHECK, f"The application cannot be built ({type(error).__name__}).", "See `lightphon serve`.")
        else:
            yield ok(CHECK, f"{', '.join(plugin.name for plugin in plugins.ready())} can be used.")


def strange_variables(environ: Mapping[str, str], schemas: Mapping[str, type[Any]]) -> Iterator[Finding]:
    """Environment variables that look like settings and are none. `schemas` are the plugins' settings classes."""
    for variable in unknown_variables(environ, schemas):
        end = "" if variable.endswith("?") else "."
        yield warning("settings", f"The environment variable {variable}{end}", "It sets nothing: correct or remove it.")


def _strange_names(settings: Settings, plugins: Sequence[Plugin]) -> Iterator[Finding]:
    """Names in the settings that no plugin has: left over, or misspelt."""
    there = {plugin.name for plugin in plugins}
    for name in sorted(set(settings.plugins.tables) - there):
        yield warning("settings", f"[plugins.{name}] is for a plugin that is not installed.", _name_advice(there))
    chosen = settings.plugins
    for setting, names in (("allow", chosen.allow or ()), ("block", chosen.block), ("order", chosen.order)):
        for name in sorted(set(names) - there):
            yield warning(
                "settings", f"`{setting}` of [plugins] names {name!r}, which is no plugin.", _name_advice(there)
            )


def _name_advice(there: set[str]) -> str:
    return f"Correct or remove it; the plugins are {', '.join(sorted(there))}."
