"""The hooks. A plugin is a class, named by an entry point of the group `lightphon`; its methods that are marked with
`@hookimpl` are called once, in the operator's order, after the class was built.

All hooks are synchronous, all are optional, and all are collected: every plugin's answer counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click
    from litestar.types import ControllerRouterHandler

    from lightphon_core.ports import Authenticator, Backend, PaymentProvider, PayoutProvider, Scorer

PROJECT = "lightphon"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """One method for each hook. What a hook returns is described by the class in `lightphon_core.ports`."""

    @hookspec
    def register_backends(self) -> Iterable[Backend]:  # type: ignore[empty-body]
        """Backends, each under a name that no other backend of the application bears."""

    @hookspec
    def register_scorers(self) -> Iterable[Scorer]:  # type: ignore[empty-body]
        """Scorers, each under a name of its own. `[routing.weights]` gives each its weight; 1 unless told."""

    @hookspec
    def register_authenticators(self) -> Iterable[Authenticator]:  # type: ignore[empty-body]
        """Authenticators, each under a name of its own."""

    @hookspec
    def register_payment_providers(self) -> Iterable[PaymentProvider]:  # type: ignore[empty-body]
        """Payment providers, each under a name of its own."""

    @hookspec
    def register_payout_providers(self) -> Iterable[PayoutProvider]:  # type: ignore[empty-body]
        """Payout providers, each under the name of the payment provider whose money it pays out."""

    @hookspec
    def register_routes(self) -> Sequence[ControllerRouterHandler]:  # type: ignore[empty-body]
        """Litestar route handlers, controllers or routers, for the application to mount.

        Errors that they raise from `lightphon_core.errors` are answered in OpenAI's shape.
        """

    @hookspec
    def register_commands(self, cli: click.Group) -> None:
        """Add sub-commands to `lightphon`.

        Called on the class's behalf before any settings are read: the method must be a `@staticmethod` or
        `@classmethod`, so that `lightphon --help` works whatever the settings say. It is called where no command of the
        core's own was named, and cannot replace one. People wait for what its module imports: import in the hooks what
        takes long to load.
        """
