"""What the operator can set: one class for each table of the settings file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from attrs import Attribute, field, frozen
from attrs.validators import and_, ge, gt, le, min_len

from lightphon_core.money import MAX_PRICE_MSAT, Amount
from lightphon_core.settings.network import MIN_TOKEN, are_hosts, are_networks, is_long, is_url
from lightphon_core.settings.payments import DepositSettings, PayoutSettings, RateSettings
from lightphon_core.settings.requests import LimitSettings, RoutingSettings
from lightphon_core.settings.structuring import Secret
from lightphon_core.types import Price

DEFAULT_DATA_DIR = Path("~/.local/share/lightphon")


def _holds_two(server: ServerSettings, attribute: Attribute[Any], most: int) -> None:
    if most < 2 * server.max_body_bytes:
        raise ValueError(
            f"'{attribute.name}' must be at least twice max_body_bytes, {2 * server.max_body_bytes}: it is {most}"
        )


@frozen
class ServerSettings:
    """`[server]`: where LightPhon listens."""

    host: str = field(default="127.0.0.1", validator=min_len(1), metadata={"help": "Address to listen on."})
    port: int = field(
        default=8000, validator=and_(ge(0), le(65535)), metadata={"help": "TCP port to listen on; 0 picks a free one."}
    )
    public_url: str | None = field(
        default=None,
        validator=is_url,
        metadata={
            "help": "The URL that people reach this server by, where it is not the address it listens on.",
            "example": "https://your.host",
        },
    )
    trusted_proxies: tuple[str, ...] = field(
        default=(),
        validator=are_networks,
        metadata={
            "help": "Addresses or networks of reverse proxies in front; their X-Forwarded-For and -Proto are believed.",
            "example": ("127.0.0.1", "10.0.0.0/8"),
        },
    )
    allowed_hosts: tuple[str, ...] = field(
        default=(),
        validator=are_hosts,
        metadata={
            "help": "Host names that are served besides that of public_url; *.example.org for all below one.",
            "example": ("api.example.org", "*.example.org"),
        },
    )
    metrics_token: Secret | None = field(
        default=None,
        validator=is_long,
        metadata={
            "help": f"Bearer token that opens /metrics, of {MIN_TOKEN} characters or more; off unless told.",
            "example": {"env": "METRICS_TOKEN"},
        },
    )
    open_models: bool = field(
        default=False,
        metadata={
            "help": "Whether GET /v1/models shows all that is on offer to whoever sends no key; Open WebUI sends none "
            "where it was given none."
        },
    )
    max_body_bytes: int = field(
        default=20_000_000, validator=gt(0), metadata={"help": "Largest request body, in bytes, that is read."}
    )
    max_bodies_bytes: int = field(
        default=200_000_000,
        validator=_holds_two,
        metadata={
            "help": "Bytes of all request bodies that are held at one time, half of them at most for one account. It "
            "takes up to twice as much memory."
        },
    )
    body_timeout_s: float = field(
        default=60.0, validator=gt(0), metadata={"help": "Seconds that a request's body may take to arrive whole."}
    )
    shutdown_grace_s: int = field(
        default=10, validator=ge(0), metadata={"help": "Seconds that answers under way may take when the server stops."}
    )

    @property
    def behind_https(self) -> bool:
        """Whether browsers reach it over https alone."""
        return self.public_url is not None and self.public_url.startswith("https:")


_MAX_PRICE = le(Amount(MAX_PRICE_MSAT))


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
        factory=dict,
        metadata={
            "help": "Prices of models by id, whatever their nodes ask.",
            "example": {"qwen/Qwen3-8B-GGUF": {"per_minute": 10}},
        },
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
class UsageSettings:
    """`[usage]`: what is kept of answers. Sums by day, model and key are kept for good."""

    detail_days: int = field(
        default=90, validator=gt(0), metadata={"help": "Days that the row of each single answer is kept."}
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
        default=10,
        validator=gt(0),
        metadata={"help": "Log-in attempts a minute for one account name, and for each browser that is known to it."},
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
        metadata={
            "help": "Database URL; an SQLite file, lightphon.db in the data directory, unless told.",
            "example": "postgresql://USER:PASSWORD@HOST/DATABASE",
        },
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
        default=None,
        metadata={
            "help": "The only plugins that may run; every installed one unless told.",
            "example": ("accounts", "scorers", "gguf"),
        },
    )
    block: tuple[str, ...] = field(default=(), metadata={"help": "Plugins that do not run."})
    order: tuple[str, ...] = field(
        default=(), metadata={"help": "Plugins to ask first, in this order; the others follow by name."}
    )
    tables: Mapping[str, Mapping[str, Any]] = field(factory=dict, repr=False, metadata={"internal": True})


@frozen
class Settings:
    """What LightPhon needs to know first.

    All settings but those of plugins, which `plugin_settings` reads once the plugins are known. `config` is the file
    they were read from, None where there was none.
    """

    data_dir: Path = field(
        metadata={
            "help": f"Directory of everything LightPhon keeps; {DEFAULT_DATA_DIR} unless told.",
            "example": "/var/lib/lightphon",
        }
    )
    server: ServerSettings = field(factory=ServerSettings)
    limits: LimitSettings = field(factory=LimitSettings)
    routing: RoutingSettings = field(factory=RoutingSettings)
    pricing: PricingSettings = field(factory=PricingSettings)
    ledger: LedgerSettings = field(factory=LedgerSettings)
    deposits: DepositSettings = field(factory=DepositSettings)
    payouts: PayoutSettings = field(factory=PayoutSettings)
    rates: RateSettings = field(factory=RateSettings)
    usage: UsageSettings = field(factory=UsageSettings)
    accounts: AccountSettings = field(factory=AccountSettings)
    storage: StorageSettings = field(factory=StorageSettings)
    log: LogSettings = field(factory=LogSettings)
    plugins: PluginsSettings = field(factory=PluginsSettings)
    config: Path | None = field(default=None, metadata={"internal": True})

    @property
    def database_url(self) -> str:
        """`storage.url`, or that of the SQLite file in the data directory."""
        return self.storage.url or f"sqlite:///{quote(str(self.data_dir.absolute() / 'lightphon.db'))}"

    @property
    def backups(self) -> Path:
        """Where the database is copied to before a migration."""
        return self.data_dir / "backups"
