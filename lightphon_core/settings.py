"""What the operator can set, and reading it: a TOML file, then environment variables, which win.

Every setting of a section has a variable, LIGHTPHON_<SECTION>_<FIELD>: LIGHTPHON_SERVER_PORT is `port` of `[server]`. A
plugin's settings are the table `[plugins.<name>]` and LIGHTPHON_PLUGINS_<NAME>_<FIELD>. Wherever the file has text,
`{env = "NAME"}` and `{file = "PATH"}` may stand for it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from attrs import Attribute, evolve, field, fields_dict, frozen
from attrs.validators import and_, ge, gt, le, min_len

from lightphon_core.environment import PREFIX, overlay, plugin_prefix, variables
from lightphon_core.errors import SettingsError
from lightphon_core.money import Amount
from lightphon_core.structuring import Secret, expanded, structure, unknown_key
from lightphon_core.types import Price

__all__ = ["Secret", "Settings", "SettingsError", "load", "plugin_settings", "unknown_variables"]

T = TypeVar("T")

_URL = re.compile(r"https?://[^/?#\s@]+(/[^?#\s]*)?")

DEFAULT_DATA_DIR = Path("~/.local/share/lightphon")


def _is_url(_: object, attribute: Attribute[Any], url: str | None) -> None:
    if url is not None and not _URL.fullmatch(url):
        raise ValueError(f"'{attribute.name}' must be a URL such as https://your.host")


@frozen
class ServerSettings:
    """`[server]`: where LightPhon listens."""

    host: str = field(default="127.0.0.1", validator=min_len(1), metadata={"help": "Address to listen on."})
    port: int = field(
        default=8000, validator=and_(ge(0), le(65535)), metadata={"help": "TCP port to listen on; 0 picks a free one."}
    )
    public_url: str | None = field(
        default=None,
        validator=_is_url,
        metadata={"help": "The URL that people reach this server by, where it is not the address it listens on."},
    )
    max_body_bytes: int = field(
        default=20_000_000, validator=gt(0), metadata={"help": "Largest request body, in bytes, that is read."}
    )
    shutdown_grace_s: int = field(
        default=10, validator=ge(0), metadata={"help": "Seconds that answers under way may take when the server stops."}
    )


@frozen
class LimitSettings:
    """`[limits]`: what one request may take."""

    max_output_tokens: int = field(
        default=4096,
        validator=gt(0),
        metadata={"help": "Most tokens an answer may have, whatever the request asks for."},
    )
    first_output_timeout_s: float = field(
        default=120.0, validator=gt(0), metadata={"help": "Seconds an attempt may take until its first output."}
    )
    total_timeout_s: float = field(
        default=600.0, validator=gt(0), metadata={"help": "Seconds the whole answer may take, all attempts together."}
    )
    attempts: int = field(default=3, validator=gt(0), metadata={"help": "How many offers are tried for one request."})
    keep_alive_s: float = field(
        default=15.0, validator=gt(0), metadata={"help": "Seconds of silence after which a stream gets a comment line."}
    )
    max_unread_bytes: int = field(
        default=1_048_576,
        validator=gt(0),
        metadata={"help": "Bytes that may wait for a slow client; beyond that its request is cancelled."},
    )


def _not_negative(_: object, attribute: Attribute[Any], weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if weight < 0:
            raise ValueError(f"'{attribute.name}' must not be negative: {name} is {weight}")


@frozen
class RoutingSettings:
    """`[routing]`: which offer is best."""

    weights: Mapping[str, float] = field(
        factory=dict,
        validator=_not_negative,
        metadata={"help": "Weight of each scorer, by its name; 1 for those left out, 0 turns one off."},
    )


_MAX_PRICE = le(Amount(10**12))  # ten bitcoin


@frozen
class PriceSettings:
    """What an answer costs, in sats; fractions as text."""

    per_minute: Amount = field(
        default=Amount(0), validator=_MAX_PRICE, metadata={"help": "Sats for a minute of inference."}
    )
    per_mtok_prompt: Amount = field(
        default=Amount(0), validator=_MAX_PRICE, metadata={"help": "Sats for a million tokens of prompt."}
    )
    per_mtok_completion: Amount = field(
        default=Amount(0), validator=_MAX_PRICE, metadata={"help": "Sats for a million tokens of completion."}
    )
    per_request: Amount = field(default=Amount(0), validator=_MAX_PRICE, metadata={"help": "Sats for each request."})

    @property
    def price(self) -> Price:
        """The same as the router and the ledger know it."""
        return Price(self.per_minute, self.per_mtok_prompt, self.per_mtok_completion, self.per_request)


@frozen
class PricingSettings(PriceSettings):
    """`[pricing]`: what offers cost whose nodes ask no price of their own. `[pricing.models."ID"]` overrides both."""

    house_bps: int = field(
        default=0,
        validator=and_(ge(0), le(10_000)),
        metadata={"help": "The house's share of what nodes earn, in basis points: 250 is 2.5 %."},
    )
    models: Mapping[str, PriceSettings] = field(
        factory=dict, metadata={"help": "Prices of models by id, whatever their nodes ask."}
    )


@frozen
class LedgerSettings:
    """`[ledger]`: holds and earnings."""

    lease_s: float = field(
        default=30.0,
        validator=gt(0),
        metadata={"help": "Seconds after which the hold of an answer is settled whose gateway has died."},
    )
    earnings_delay_s: int = field(
        default=0, validator=ge(0), metadata={"help": "Seconds until a node owner may use what was earned."}
    )
    card_earnings_delay_s: int = field(
        default=120 * 86_400,
        validator=ge(0),
        metadata={"help": "The same for what was paid with card money, which can be disputed for months."},
    )


@frozen
class AccountSettings:
    """`[accounts]`: who may register, and how people log in."""

    registration: Literal["closed", "invite", "open"] = field(
        default="closed", metadata={"help": "Who may register: nobody, who has an invitation, or everybody."}
    )
    session_lifetime_s: int = field(
        default=14 * 86_400, validator=gt(0), metadata={"help": "Seconds after which a person logs in again."}
    )
    recent_password_s: int = field(
        default=600,
        validator=gt(0),
        metadata={"help": "Seconds after a log-in in which a session may do what cannot be undone."},
    )
    logins_per_minute: int = field(
        default=10, validator=gt(0), metadata={"help": "Log-in attempts a minute for one account name."}
    )
    logins_per_minute_per_address: int = field(
        default=60, validator=gt(0), metadata={"help": "Log-in and registration attempts a minute from one address."}
    )


@frozen
class StorageSettings:
    """`[storage]`: the database."""

    url: str | None = field(
        default=None,
        repr=False,  # it may hold a password
        metadata={"help": "Database URL; an SQLite file, lightphon.db in the data directory, unless told."},
    )


@frozen
class LogSettings:
    """`[log]`: what is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = field(
        default="info", metadata={"help": "Least severe level that is written."}
    )
    format: Literal["console", "json"] = field(
        default="console", metadata={"help": "Lines for people, or one JSON object a line."}
    )


@frozen
class PluginsSettings:
    """`[plugins]`: which plugins run, and in which order they are asked. Any other table in it is a plugin's own."""

    allow: tuple[str, ...] | None = field(
        default=None, metadata={"help": "The only plugins that may run; every installed one unless told."}
    )
    block: tuple[str, ...] = field(default=(), metadata={"help": "Plugins that do not run."})
    order: tuple[str, ...] = field(
        default=(), metadata={"help": "Plugins to ask first, in this order; the others follow by name."}
    )
    tables: Mapping[str, Mapping[str, Any]] = field(factory=dict, repr=False, metadata={"internal": True})


@frozen
class Settings:
    """All settings but those of plugins, which `plugin_settings` reads once the plugins are known.

    `config` is the file they were read from, None where there was none.
    """

    data_dir: Path = field(
        metadata={"help": f"Directory of everything LightPhon keeps; {DEFAULT_DATA_DIR} unless told."}
    )
    server: ServerSettings = field(factory=ServerSettings)
    limits: LimitSettings = field(factory=LimitSettings)
    routing: RoutingSettings = field(factory=RoutingSettings)
    pricing: PricingSettings = field(factory=PricingSettings)
    ledger: LedgerSettings = field(factory=LedgerSettings)
    accounts: AccountSettings = field(factory=AccountSettings)
    storage: StorageSettings = field(factory=StorageSettings)
    log: LogSettings = field(factory=LogSettings)
    plugins: PluginsSettings = field(factory=PluginsSettings)
    config: Path | None = field(default=None, metadata={"internal": True})

    @property
    def database_url(self) -> str:
        """`storage.url`, or that of the SQLite file in the data directory."""
        return self.storage.url or f"sqlite:///{self.data_dir.absolute() / 'lightphon.db'}"


def load(config: Path | None, environ: Mapping[str, str], *, data_dir: Path | None = None) -> Settings:
    """Settings from the TOML file `config`, if any, with `environ` over it and `data_dir` over both.

    Raises:
        SettingsError: the file cannot be read, or something in it or in the environment is unknown or wrong.
    """
    values = {} if config is None else _read(config)
    tables: dict[str, Mapping[str, Any]] = {}
    if isinstance(plugins := values.get("plugins"), dict):
        own = {name: table for name, table in plugins.items() if name not in fields_dict(PluginsSettings)}
        tables = {name: table for name, table in own.items() if isinstance(table, dict)}
        values["plugins"] = {name: value for name, value in plugins.items() if name not in tables}
    merged, origins = overlay(values, list(variables(Settings)), environ)
    if data_dir is not None:
        merged["data_dir"] = expanded(data_dir).absolute()
        origins["data_dir",] = "--data-dir"
    merged.setdefault("data_dir", expanded(DEFAULT_DATA_DIR))
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
    merged, origins = overlay(table, list(variables(cls, plugin_prefix(name))), environ)
    where = _where(settings.config, ("plugins", name), origins)
    return structure(merged, cls, environ=environ, directory=_directory(settings.config), where=where)


def unknown_variables(environ: Mapping[str, str], plugins: Mapping[str, type[Any]] | None = None) -> list[str]:
    """Variables that begin with LIGHTPHON_ and set nothing, each with a word on why: for a warning, not an error, since
    Kubernetes adds some of its own. `plugins` has the settings class of every plugin, by the plugin's name.
    """
    known = {f"{PREFIX}_CONFIG", *(variable.name for variable in variables(Settings))}
    for name, cls in (plugins or {}).items():
        known.update(variable.name for variable in variables(cls, plugin_prefix(name)))
    strange = sorted(name for name in environ if name.startswith(f"{PREFIX}_") and name not in known)
    return [f"{name} {unknown_key(name, sorted(known)).partition('; there are')[0]}" for name in strange]


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{config}: the settings file cannot be read: {error.strerror}.") from error
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
