"""/api/admin/settings: what the operator has set, as it is in force, and where each of it is set."""

from __future__ import annotations

from itertools import groupby

import msgspec
from litestar import get

from lightphon_core.settings import Settings, default_config
from lightphon_core.settings.in_force import Setting, in_force
from lightphon_core.types import Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.plugin_list import SettingInfo, setting_info
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, refusals


class SettingsSection(msgspec.Struct, frozen=True):
    """A table of the settings file; "" is what stands above the first one."""

    table: str
    settings: list[SettingInfo]


class InstanceSettings(msgspec.Struct, frozen=True):
    """`file` is the one that was read when the server started, or, where `file_exists` is false, the one that
    would have been. Settings of plugins are at /api/admin/plugins."""

    file: str
    file_exists: bool
    sections: list[SettingsSection]


@get(
    "/admin/settings",
    name="admin_settings",
    tags=["administration"],
    guards=[Requires(Scope.ADMIN)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def get_settings(settings: Given[Settings]) -> InstanceSettings:
    """The settings in force. A restart applies a change of the file."""
    return instance_settings(settings)


def instance_settings(settings: Settings) -> InstanceSettings:
    """All of the core's, by table."""
    file = settings.config or default_config({}, data_dir=settings.data_dir)
    sections = [
        SettingsSection(table, [setting_info(each) for each in found])
        for table, found in groupby(in_force(settings), key=_table)
    ]
    return InstanceSettings(str(file), settings.config is not None, sections)


def _table(setting: Setting) -> str:
    return (setting.key or "").rpartition(".")[0]
