"""Find, order, check, build, list, start and stop plugins.

A plugin is a class that an entry point of the group `lightphon` names. `cls.settings`, an attrs class, is the schema of
`[plugins.<name>]`; `cls.gateways` names the kinds of gateway that its backends may have as nodes; `cls(host)` builds it
once for one application. pluggy checks the hooks; this module calls them
plugin by plugin, so that every failure has a name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from typing import Any, TypeVar

import click
import pluggy
from attrs import define, field, frozen

from lightphon_core.errors import LightPhonError, PluginError
from lightphon_core.hookspecs import PROJECT, Hooks
from lightphon_core.host import Host
from lightphon_core.ports import Backend, PaymentProvider, PayoutProvider

GROUP = "lightphon"
COMMANDS = "register_commands"
"""The one hook that is called on the class, and so needs no mark."""
HOOKS = tuple(name for name in vars(Hooks) if name.startswith("register_"))
STOP_TIMEOUT_S = 5.0

T = TypeVar("T")


@frozen
class Source:
    """Where a plugin class comes from. `load` imports it, and may raise anything."""

    name: str
    distribution: str
    version: str
    load: Callable[[], Any]


@define
class Plugin:
    """One plugin of one application, and how far it got: "ready", "blocked" or "broken" (then `error` says why).

    `settings` are its own, as it was built with; None where it has none. `registered` are the names of what was
    collected from it, by hook.
    """

    name: str
    distribution: str
    version: str
    state: str = "ready"
    hooks: tuple[str, ...] = ()
    error: PluginError | None = None
    cls: Any = field(default=None, repr=False)
    settings: Any = field(default=None, repr=False)
    registered: dict[str, list[str]] = field(factory=dict)


def installed() -> list[Source]:
    """Every plugin that is installed in this environment, by name. Imports none of them."""
    found = []
    for entry in entry_points(group=GROUP):
        distribution = entry.dist
        name, version = (distribution.name, distribution.version) if distribution else ("?", "?")
        found.append(Source(entry.name, name, version, entry.load))
    return sorted(found, key=lambda source: (source.name, source.distribution))


def add_commands(sources: Iterable[Source], cli: click.Group) -> None:
    """Let every plugin add its commands. One that cannot be imported adds none; `lightphon plugins` says why."""
    for source in sources:
        try:
            cls = source.load()
        except Exception:  # noqa: BLE001, S112 - the other commands must work, whatever a plugin does
            continue
        if (add := getattr(cls, COMMANDS, None)) is not None:
            add(cli)


class Plugins:
    """The plugins of one application.

    `choose` decides which are used and in what order; `build` makes them; `collect` calls one hook on all of them.
    """

    def __init__(
        self, sources: Iterable[Source], *, allow: Sequence[str] | None, block: Sequence[str], order: Sequence[str]
    ) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._started: list[tuple[str, Backend | PaymentProvider | PayoutProvider]] = []
        self.plugins: list[Plugin] = []
        place = {name: index for index, name in enumerate(order)}
        for source in sorted(sources, key=lambda source: place.get(source.name, len(place))):
            self.plugins.append(self._find(source, allow, block))

    def _find(self, source: Source, allow: Sequence[str] | None, block: Sequence[str]) -> Plugin:
        plugin = Plugin(source.name, source.distribution, source.version)
        if source.name in block or (allow is not None and source.name not in allow):
            plugin.state = "blocked"
            return plugin
        twin = next((other for other in self.plugins if other.name == source.name), None)
        if twin is not None:
            _break(
                plugin,
                f"the name is taken twice, by {twin.distribution} and by {source.distribution}; uninstall one of them",
            )
            return plugin
        try:
            plugin.cls = source.load()
        except Exception as error:  # noqa: BLE001 - importing a plugin runs any code at all
            _break(plugin, f"cannot be imported: {_short(error)}", error)
        return plugin

    def ready(self) -> list[Plugin]:
        """The plugins that can be used, in order."""
        return [plugin for plugin in self.plugins if plugin.state == "ready"]

    def schemas(self) -> dict[str, Any]:
        """The settings class of every plugin that has one, by the plugin's name."""
        return {each.name: each.cls.settings for each in self.ready() if getattr(each.cls, "settings", None)}

    def gateways(self) -> frozenset[str]:
        """The kinds of gateway that may be behind what these plugins serve (`Node.gateway`): each class says its own in
        `gateways`, where it has any."""
        named = [getattr(each.cls, "gateways", ()) for each in self.ready()]
        # ("acme") is no tuple.
        return frozenset(word.lower() for words in named for word in ([words] if isinstance(words, str) else words))

    def check(self) -> None:
        """Raise the first plugin's error, if any is broken."""
        for plugin in self.plugins:
            if plugin.error is not None:
                raise plugin.error

    def build(self, settings_for: Callable[[str, Any], Any], host_for: Callable[[str, Any], Host[Any]]) -> None:
        """Build and register every ready plugin; one that fails becomes "broken".

        `settings_for(name, cls)` reads a plugin's own settings; `host_for(name, settings)` makes what it is given.
        """
        for plugin in self.ready():
            try:
                schema = getattr(plugin.cls, "settings", None)
                plugin.settings = settings_for(plugin.name, schema) if schema else None
                instance = plugin.cls(host_for(plugin.name, plugin.settings))
                plugin.hooks = _hooks(self._manager, instance)
                self._manager.register(instance, plugin.name)
                self._manager.check_pending()
            except LightPhonError as error:
                _break(plugin, error.message, error)
            except pluggy.PluginValidationError as error:
                _break(
                    plugin,
                    f"a method that is marked as a hook is none: {_short(error)}. The hooks are {', '.join(HOOKS)}",
                    error,
                )
            except Exception as error:  # noqa: BLE001 - a plugin's constructor may raise anything
                _break(plugin, f"cannot be built: {_short(error)}", error)
            if plugin.state != "ready" and self._manager.has_plugin(plugin.name):
                self._manager.unregister(name=plugin.name)

    def collect(self, hook: str, kind: type[T] | Any) -> list[T]:
        """What all plugins return for `hook`, in the operator's order; each must be a `kind`, under a name of its own.

        Raises `PluginError`.
        """
        implementations = {impl.plugin_name: impl for impl in getattr(self._manager.hook, hook).get_hookimpls()}
        collected: list[T] = []
        names: dict[str, str] = {}
        for plugin in self.ready():
            if plugin.name not in implementations:
                continue
            try:
                objects = list(implementations[plugin.name].function() or ())
            except Exception as error:
                raise PluginError(plugin.name, f"{hook} failed: {_short(error)}") from error
            for each in objects:
                if not isinstance(each, kind):
                    raise PluginError(plugin.name, f"{hook} returned a {type(each).__name__}, not a {kind.__name__}")
                name = getattr(each, "name", None)
                if kind is not object and name in names:
                    raise PluginError(plugin.name, f"{hook}: the name {name!r} is taken by plugin {names[name]!r}")
                names[str(name)] = plugin.name
                if name is not None:
                    plugin.registered.setdefault(hook, []).append(str(name))
                collected.append(each)
                if isinstance(each, (Backend, PaymentProvider, PayoutProvider)):
                    self._started.append((plugin.name, each))
        return collected

    async def start(self) -> None:
        """Start the backends and providers that were collected, in order. Raises `PluginError`."""
        for plugin, each in self._started:
            try:
                await each.start()
            except Exception as error:
                raise PluginError(plugin, f"cannot be started: {_short(error)}") from error

    async def stop(self) -> list[PluginError]:
        """Stop them in the opposite order, each bounded in time; what went wrong comes back, and nothing is raised."""
        errors = []
        for plugin, each in reversed(self._started):
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await each.stop()
            except Exception as error:  # noqa: BLE001 - one plugin's failure must not keep the next from stopping
                errors.append(_error(plugin, f"did not stop cleanly: {_short(error)}", error))
        return errors


def _hooks(manager: pluggy.PluginManager, instance: object) -> tuple[str, ...]:
    """The hooks that `instance` implements. A method named like a hook but not marked is a slip worth an error."""
    marked = tuple(
        name
        for name in HOOKS
        if manager.parse_hookimpl_opts(instance, name) is not None or (name == COMMANDS and hasattr(instance, name))
    )
    for name in HOOKS:
        if hasattr(instance, name) and name not in marked:
            raise LightPhonError(f"{name} is not marked with @hookimpl, so it would never be called")
    return marked


def _short(error: BaseException) -> str:
    """An exception as a person reads it: its type and the first line of its text."""
    if isinstance(error, LightPhonError):
        return error.message
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _error(plugin: str, message: str, cause: BaseException | None = None) -> PluginError:
    error = PluginError(plugin, message)
    error.__cause__ = cause
    return error


def _break(plugin: Plugin, message: str, cause: BaseException | None = None) -> None:
    plugin.state, plugin.error = "broken", _error(plugin.name, message, cause)
