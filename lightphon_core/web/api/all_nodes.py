"""/api/admin/nodes: every node that is connected, whoever it belongs to."""

from __future__ import annotations

from functools import partial

import msgspec
from litestar import get

from lightphon_core.accounts.directory import names_of
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Database
from lightphon_core.types import Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.nodes import OwnNode, described
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, refusals


class AnyNode(OwnNode, frozen=True):
    """A node, and the account that earns with it: null where that is the house."""

    owner: str | None
    owner_name: str | None


class AllNodes(msgspec.Struct, frozen=True):
    """By name."""

    data: list[AnyNode]


@get(
    "/admin/nodes",
    name="admin_nodes",
    tags=["administration"],
    guards=[Requires(Scope.ADMIN)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def list_nodes(gateway: Given[Gateway], database: Given[Database]) -> AllNodes:
    """Everybody's nodes that are connected, what they offer, and how busy they are."""
    return await all_nodes(gateway, database)


async def all_nodes(gateway: Gateway, database: Database) -> AllNodes:
    """The nodes of all backends. Raises `StorageUnavailable`."""
    connected = gateway.catalogue.nodes()
    owners = {each.node.id: each.node.owner for each in connected}
    names = await database.read(partial(names_of, account_ids={owner for owner in owners.values() if owner}))
    return AllNodes(
        [
            AnyNode(
                **{name: getattr(each, name) for name in OwnNode.__struct_fields__},
                owner=owners[each.id],
                owner_name=names.get(owners[each.id] or ""),
            )
            for each in await described(connected, gateway, database)
        ]
    )
