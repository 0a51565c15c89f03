"""The plugin: GPU nodes as a backend of LightPhon."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from lightphon_backend_gguf.hub.settings import GgufSettings
from lightphon_core import Backend, Host, hookimpl

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

# The hub and the demo are imported by what needs them: every command line asks each plugin for its commands.


class Gguf:
    """Serves models from the nodes that dial in at `/api/node-link`."""

    settings = GgufSettings

    def __init__(self, host: Host[GgufSettings]) -> None:
        from lightphon_backend_gguf.hub.roster import Roster
        from lightphon_backend_gguf.hub.setup import Installable

        self._host = host
        self._roster = Roster(host.offers_changed)
        self._installable = Installable()
        host.on_account_change(self._roster.recheck)

    @hookimpl
    def register_backends(self) -> Iterable[Backend]:
        from lightphon_backend_gguf.hub.backend import NodeBackend

        return [NodeBackend(self._roster, self._installable)]

    @hookimpl
    def register_routes(self) -> Sequence[ControllerRouterHandler]:
        from lightphon_backend_gguf.hub.download import downloads
        from lightphon_backend_gguf.hub.route import node_link

        return [node_link(self._host, self._roster), *downloads(self._host, self._installable)]

    @staticmethod
    def register_commands(cli: click.Group) -> None:
        """Adds `lightphon demo`."""
        from lightphon_backend_gguf.demo.command import add_to

        add_to(cli)
