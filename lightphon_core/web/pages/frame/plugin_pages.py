"""Pages of plugins: their own templates, in the frame of the web app."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import BaseLoader, PackageLoader, PrefixLoader
from litestar import Request, Response

from lightphon_core.host import Framed
from lightphon_core.plugins import Plugin
from lightphon_core.web.pages.frame.rendering import page
from lightphon_core.web.pages.frame.visitors import anybody

FOLDER = "templates"


def plugin_templates(plugins: Iterable[Plugin]) -> BaseLoader:
    """The templates of all these plugins; that of a plugin's file x.html is "<plugin>/x.html"."""
    return PrefixLoader({name: PackageLoader(package, FOLDER) for name, package in _packages(plugins).items()})


def framed_for(plugin: str) -> Framed:
    """What `Host.page` is for the plugin of this name."""

    async def framed(
        request: Request[Any, Any, Any], template: str, *, status: int = 200, **values: Any
    ) -> Response[str]:
        visitor = await anybody(request)
        return page(request, f"{plugin}/{template}", visitor, status=status, **values)

    return framed


def _packages(plugins: Iterable[Plugin]) -> Mapping[str, str]:
    """The packages with templates, by the plugin's name: the one that its class stands in."""
    found = {}
    for plugin in plugins:
        spec = getattr(sys.modules.get(plugin.cls.__module__), "__spec__", None)
        if spec is not None and spec.parent and (files(spec.parent) / FOLDER).is_dir():
            found[plugin.name] = spec.parent
    return found
