"""Whether the plugins can be built, and whether the settings name what is not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lightphon_core.cli.checks.finding import Finding, ok, problem, warning
from lightphon_core.cli.plugins import empty_database
from lightphon_core.errors import ConfigurationError
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings, unknown_plugins, unknown_variables
from lightphon_core.settings.structuring import meant

CHECK = "plugins"


def check_plugins(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Build the plugins and the application as the server does, over an empty database of their own."""
    from lightphon_core.web.app import create_app
    from lightphon_core.web.assembly import assemble

    with empty_database() as database:
        plugins = assemble(settings, database, environ).plugins
        names = sorted(plugin.name for plugin in plugins.plugins)
        for strange in unknown_plugins(settings, names):
            yield warning("settings", strange, f"Correct or remove it; the plugins are {', '.join(names)}.")
        yield from strange_variables(environ, plugins.schemas())
        broken = [plugin for plugin in plugins.plugins if plugin.error is not None]
        for plugin in broken:
            yield problem(CHECK, str(plugin.error), "Mend it, or add its name to `block` of [plugins].")
        if broken:
            return
        try:
            app = create_app(settings, database, environ)
        except ConfigurationError as error:
            yield problem(CHECK, error.message, "Mend it: the server does not start.")
        except Exception as error:  # noqa: BLE001 - what plugins bring may be anything
            yield problem(CHECK, f"The application cannot be built ({type(error).__name__}).", "See `lightphon serve`.")
        else:
            gateway: Gateway = app.state.gateway
            backends = [backend.name.lower() for backend in gateway.catalogue.backends]
            yield from strange_to_auto(settings.routing.not_in_auto, sorted(backends), names)
            yield ok(CHECK, f"{', '.join(plugin.name for plugin in plugins.ready())} can be used.")


def strange_variables(environ: Mapping[str, str], schemas: Mapping[str, type[Any]]) -> Iterator[Finding]:
    """Environment variables that look like settings and are none. `schemas` are the plugins' settings classes."""
    for variable in unknown_variables(environ, schemas):
        end = "" if variable.endswith("?") else "."
        yield warning("settings", f"The environment variable {variable}{end}", "It sets nothing: correct or remove it.")


def strange_to_auto(left_out: Iterable[str], backends: Sequence[str], plugins: Iterable[str]) -> Iterator[Finding]:
    """What `not_in_auto` leaves out that is no backend. It may be a node, and nodes come and go; but what is nearly a
    backend's name, or a plugin's that brings no backend now, leaves out nobody."""
    nodes = []
    for name in left_out:
        likeliest = meant(name.lower(), backends)
        if name.lower() in backends:
            continue
        if likeliest == "." and name.lower() not in plugins:
            nodes.append(name)
            continue
        yield warning(
            "settings",
            f"`not_in_auto` of [routing] names {name!r}, which is no backend now{likeliest}",
            f"It leaves out nobody: correct or remove it. The backends are {', '.join(backends) or 'none'}.",
        )
    if nodes:
        yield ok("settings", f"`auto` leaves out the nodes of these names, while there are any: {', '.join(nodes)}.")
