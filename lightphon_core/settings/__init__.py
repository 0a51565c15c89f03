"""What the operator can set, and reading it: a TOML file, then environment variables, which win.

Every setting of a section has a variable, LIGHTPHON_<SECTION>_<FIELD>: LIGHTPHON_SERVER_PORT is `port` of `[server]`. A
plugin's settings are the table `[plugins.<name>]` and LIGHTPHON_PLUGINS_<NAME>_<FIELD>. Wherever the file has text,
`{env = "NAME"}` and `{file = "PATH"}` may stand for it. A plugin may read variables of other names too, which its users
know (`plain_prefix` in structuring.py).
"""

from lightphon_core.errors import SettingsError
from lightphon_core.settings.loading import (
    default_config,
    load,
    plugin_settings,
    read,
    unknown_plugins,
    unknown_variables,
)
from lightphon_core.settings.payments import DepositSettings, PayoutSettings, RateSettings
from lightphon_core.settings.reference import markdown, settings_file
from lightphon_core.settings.requests import LimitSettings, RoutingSettings
from lightphon_core.settings.sections import (
    DEFAULT_DATA_DIR,
    AccountSettings,
    LedgerSettings,
    LogSettings,
    PluginsSettings,
    PriceSettings,
    PricingSettings,
    ServerSettings,
    Settings,
    StorageSettings,
    UsageSettings,
)
from lightphon_core.settings.structuring import Secret

__all__ = [
    "DEFAULT_DATA_DIR",
    "AccountSettings",
    "DepositSettings",
    "LedgerSettings",
    "LimitSettings",
    "LogSettings",
    "PayoutSettings",
    "PluginsSettings",
    "PriceSettings",
    "PricingSettings",
    "RateSettings",
    "RoutingSettings",
    "Secret",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "StorageSettings",
    "UsageSettings",
    "default_config",
    "load",
    "markdown",
    "plugin_settings",
    "read",
    "settings_file",
    "unknown_plugins",
    "unknown_variables",
]
