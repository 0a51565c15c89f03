"""Reading the settings: a TOML file, then environment variables, which win."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve, fields, fields_dict

from lightphon_core.errors import SettingsError, said_by
from lightphon_core.settings.environment import PREFIX, overlay, plugin_prefix, variables
from lightphon_core.settings.sections import DEFAULT_DATA_DIR, PluginsSettings, Settings
from lightphon_core.settings.structuring import expanded, meant, plain_prefix, structure, unknown_key

T = TypeVar("T")


CONFIG_NAME = "lightphon.toml"


def default_config(environ: Mapping[str, str], *, data_dir: Path | None = None) -> Path:
    """The settings file that is read where none is named: it lies in the data directory, and need not exist."""
    given = data_dir or environ.get(f"{PREFIX}_DATA_DIR")
    return (expanded(given).absolute() if given else _home()) / CONFIG_NAME


def load(config: Path | None, environ: Mapping[str, str], *, data_dir: Path | None = None) -> Settings:
    """Settings from the TOML file `config`, if any, with `environ` over it and `data_dir` over both.

    Raises:
        SettingsError: the file cannot be read, or something in it or in the environment is unknown or wrong.
    """
    values = {} if config is None else read(config)
    tables: dict[str, Mapping[str, Any]] = {}
    if isinstance(plugins := values.get("plugins"), dict):
        own = {name: table for name, table in plugins.items() if name not in fields_dict(PluginsSettings)}
        tables = {name: table for name, table in own.items() if isinstance(table, dict)}
        values["plugins"] = {name: value for name, value in plugins.items() if name not in tables}
    merged, origins = overlay(values, list(variables(Settings)), environ)
    if data_dir is not None:
        merged["data_dir"] = expanded(data_dir).absolute()
        origins["data_dir",] = "--data-dir"
    if "data_dir" not in merged:
        merged["data_dir"] = _home()
    settings = structure(
        merged, Settings, environ=environ, directory=_directory(config), where=_where(config, (), origins)
    )
    return evolve(settings, config=config, plugins=evolve(settings.plugins, tables=tables))


def plugin_settings(settings: Settings, name: str, cls: type[T], environ: Mapping[str, str]) -> T:
    """The settings of one plugin: an instance of its own attrs class `cls`.

    Raises:
        SettingsError: as `load`, for the plugin's table and variables.
    """
    table = settings.plugins.tables.get(name, {})
    known = list(variables(cls, plugin_prefix(name)))
    merged, origins = overlay(table, known, environ)
    plain = {variable.path: variable.name for variable in known if variable.is_plain}
    where = _where(settings.config, ("plugins", name), {**plain, **origins})
    schema: type[Any] = cls
    for field in fields(schema):
        if field.name in table and plain_prefix(field):
            raise SettingsError(f"{where([field.name])} is no table: set {', '.join(plain.values())} instead.")
    return structure(merged, cls, environ=environ, directory=_directory(settings.config), where=where)


OF_COMMANDS = (f"{PREFIX}_CONFIG", f"{PREFIX}_URL", f"{PREFIX}_API_KEY", f"{PREFIX}_NODE_TOKEN")
"""Variables that commands read, and not the server."""


def unknown_variables(environ: Mapping[str, str], plugins: Mapping[str, type[Any]] | None = None) -> list[str]:
    """Variables that begin with LIGHTPHON_ and set nothing, each with a word on why: for a warning, not an error, since
    Kubernetes adds some of its own. `plugins` has the settings class of every plugin, by the plugin's name.
    """
    known = {*OF_COMMANDS, *(variable.name for variable in variables(Settings))}
    for name, cls in (plugins or {}).items():
        known.update(variable.name for variable in variables(cls, plugin_prefix(name)))
    strange = sorted(name for name in environ if name.startswith(f"{PREFIX}_") and name not in known)
    return [f"{name} {unknown_key(name, sorted(known)).partition('; there are')[0]}" for name in strange]


def _home() -> Path:
    """The data directory of this user, where none is named. Raises `SettingsError` for one who has no home."""
    found = expanded(DEFAULT_DATA_DIR)
    if not found.is_absolute() or os.environ.get("HOME") == "":
        raise SettingsError(
            "This user has no home directory to keep data in. Name another with --data-dir or LIGHTPHON_DATA_DIR."
        )
    return found


def unknown_plugins(settings: Settings, installed: Collection[str]) -> list[str]:
    """Names in the settings that no plugin has, left over or misspelt, each with a word on why: for a warning, since a
    plugin may be away for a while."""
    chosen = settings.plugins
    strange = [(f"[plugins.{name}] is for a plugin that is not installed", name) for name in chosen.tables]
    for setting, names in (("allow", chosen.allow or ()), ("block", chosen.block), ("order", chosen.order)):
        strange += [(f"`{setting}` of [plugins] names {name!r}, which is no plugin", name) for name in names]
    return [said + meant(name, installed) for said, name in sorted(strange) if name not in installed]


def read(config: Path) -> dict[str, Any]:
    """What a settings file says, as it stands there. Raises `SettingsError` where it cannot be read."""
    try:
        return tomllib.loads(config.read_text("utf-8-sig"))  # editors on Windows begin a file with a mark
    except OSError as error:
        raise SettingsError(f"{config}: the settings file cannot be read: {said_by(error)}") from error
    except UnicodeDecodeError:
        raise SettingsError(f"{config}: the settings file is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{config}: not valid TOML: {error}.") from None


def _directory(config: Path | None) -> Path:
    return Path.cwd() if config is None else config.absolute().parent


def _where(
    config: Path | None, tables: tuple[str, ...], origins: Mapping[tuple[str, ...], str]
) -> Callable[[Sequence[str]], str]:
    """Puts the place of a setting into words: the variable that set it, or file, table and key."""

    def where(path: Sequence[str]) -> str:
        for length in range(len(path), 0, -1):
            if variable := origins.get(tuple(path[:length])):
                return " ".join([variable, *path[length:]])
        full = (*tables, *path)
        # Sections are one table deep, a plugin's table is two; what follows is keys.
        depth = min(len(tables) or 1, len(full) - 1) if path else len(full)
        table = f"[{'.'.join(full[:depth])}] " if depth else ""
        return f"{config or 'Settings'}: {table}{'.'.join(full[depth:])}".rstrip()

    return where
