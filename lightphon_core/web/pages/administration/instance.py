"""/admin/nodes, /admin/plugins and /admin/settings: what this server is made of."""

from __future__ import annotations

from litestar import Response, get

from lightphon_core.plugins import Plugins
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database
from lightphon_core.web.api.all_nodes import all_nodes
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.instance_settings import instance_settings
from lightphon_core.web.api.plugin_list import plugin_list
from lightphon_core.web.pages.frame.prices import price_in_words
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor


@get("/admin/nodes", name="admin-nodes-page")
async def nodes(
    request: Asked, administrator: Given[Visitor], gateway: Given[Gateway], database: Given[Database]
) -> Response[str]:
    """Everybody's nodes that are connected."""
    found = await all_nodes(gateway, database)
    return page(request, "admin/nodes.html", administrator, nodes=found.data, in_words=price_in_words)


@get("/admin/plugins", name="admin-plugins-page")
async def plugins(
    request: Asked,
    administrator: Given[Visitor],
    plugins: Given[Plugins],
    gateway: Given[Gateway],
    settings: Given[Settings],
) -> Response[str]:
    """Plugins, their state and their settings."""
    found = plugin_list(plugins, gateway, settings).data
    return page(request, "admin/plugins.html", administrator, plugins=found)


@get("/admin/settings", name="admin-settings-page")
async def settings(request: Asked, administrator: Given[Visitor], settings: Given[Settings]) -> Response[str]:
    """The settings in force, and where each is set."""
    found = instance_settings(settings)
    return page(request, "admin/settings.html", administrator, found=found, mode=settings.accounts.registration)


ROUTES = [nodes, plugins, settings]
