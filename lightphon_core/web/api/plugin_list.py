"""/api/admin/plugins: the plugins that run, how they are set, and what they bring."""

from __future__ import annotations

import msgspec
from litestar import get

from lightphon_core.log.redaction import redact
from lightphon_core.plugins import Plugin, Plugins
from lightphon_core.routing.scoring import weight_of
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.settings.environment import plugin_prefix
from lightphon_core.settings.in_force import Setting, in_force
from lightphon_core.settings.options import key_of
from lightphon_core.types import Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, refusals


class SettingInfo(msgspec.Struct, frozen=True):
    """A setting as it is in force. `key` is its place in the settings file, such as "server.port"; null where only
    `variable` sets it. `value` is TOML; secrets are "...", and null is not set."""

    key: str | None
    variable: str | None
    value: str | None
    is_default: bool
    help: str


class ScorerInfo(msgspec.Struct, frozen=True):
    """A scorer, and how much its opinion counts. `fault`: what it last answered that was no score; null: nothing."""

    name: str
    weight: float
    fault: str | None


class Registered(msgspec.Struct, frozen=True):
    """What a plugin brings, by name."""

    backends: list[str]
    scorers: list[ScorerInfo]
    authenticators: list[str]
    payment_providers: list[str]
    payout_providers: list[str]


class PluginInfo(msgspec.Struct, frozen=True):
    """`state` is ready, or blocked by the settings. One that is broken keeps the server from starting."""

    name: str
    package: str
    version: str
    state: str
    hooks: list[str]
    registered: Registered
    settings: list[SettingInfo]


class PluginList(msgspec.Struct, frozen=True):
    """In the order in which they are asked."""

    data: list[PluginInfo]


@get(
    "/admin/plugins",
    name="admin_plugins",
    tags=["administration"],
    guards=[Requires(Scope.ADMIN)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def list_plugins(plugins: Given[Plugins], gateway: Given[Gateway], settings: Given[Settings]) -> PluginList:
    """Every plugin that is installed."""
    return plugin_list(plugins, gateway, settings)


def plugin_list(plugins: Plugins, gateway: Gateway, settings: Settings) -> PluginList:
    """The plugins of this application."""
    return PluginList([_info(plugin, gateway, settings) for plugin in plugins.plugins])


def setting_info(setting: Setting) -> SettingInfo:
    """A setting as JSON has it. What looks like a credential is masked once more, wherever it stands."""
    value = None if setting.value is None else redact(setting.value)
    return SettingInfo(setting.key, setting.variable, value, setting.is_default, setting.help)


def _info(plugin: Plugin, gateway: Gateway, settings: Settings) -> PluginInfo:
    found = plugin.registered
    scorers = [
        ScorerInfo(name, weight_of(name, settings.routing.weights), gateway.router.faults.get(name))
        for name in found.get("register_scorers", ())
    ]
    own = []
    if plugin.settings is not None:
        own = list(in_force(plugin.settings, f"plugins.{key_of(plugin.name)}", plugin_prefix(plugin.name)))
    return PluginInfo(
        name=plugin.name,
        package=plugin.distribution,
        version=plugin.version,
        state=plugin.state,
        hooks=list(plugin.hooks),
        registered=Registered(
            backends=found.get("register_backends", []),
            scorers=scorers,
            authenticators=found.get("register_authenticators", []),
            payment_providers=found.get("register_payment_providers", []),
            payout_providers=found.get("register_payout_providers", []),
        ),
        settings=[setting_info(each) for each in own],
    )
