"""The plugin: GPU nodes as a backend of LightPhon."""

from collections.abc import Iterable, Sequence

import click
from litestar.types import ControllerRouterHandler

from lightphon_backend_gguf.demo.command import add_to
from lightphon_backend_gguf.hub.backend import NodeBackend
from lightphon_backend_gguf.hub.download import downloads
from lightphon_backend_gguf.hub.roster import Roster
from lightphon_backend_gguf.hub.route import node_link
from lightphon_backend_gguf.hub.settings import GgufSettings
from lightphon_backend_gguf.hub.setup import Installable
from lightphon_core import Backend, Host, hookimpl


class Gguf:
    """Serves models from the nodes that dial in at `/api/node-link`."""

    settings = GgufSettings

    def __init__(self, host: Host[GgufSettings]) -> None:
        self._host = host
        self._roster = Roster(host.offers_changed)
        self._installable = Installable()
        host.on_account_change(self._roster.recheck)

    @hookimpl
    def register_backends(self) -> Iterable[Backend]:
        return [NodeBackend(self._roster, self._installable)]

    @hookimpl
    def register_routes(self) -> Sequence[ControllerRouterHandler]:
        return [node_link(self._host, self._roster), *downloads(self._host, self._installable)]

    @staticmethod
    def register_commands(cli: click.Group) -> None:
        """Adds `lightphon demo`."""
        add_to(cli)
