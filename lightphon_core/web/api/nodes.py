"""/api/nodes: one's own nodes that are connected."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import msgspec
from litestar import get

from lightphon_core.routing.catalogue import Entry
from lightphon_core.serving.gateway import Gateway
from lightphon_core.types import ConnectedNode, Principal, Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, refusals


class PriceMsat(msgspec.Struct, frozen=True):
    """What an answer costs, in msat: for a minute of inference, a million tokens, and each request."""

    per_minute: int
    per_mtok_prompt: int
    per_mtok_completion: int
    per_request: int


class OfferedModel(msgspec.Struct, frozen=True):
    """A model as one node offers it: `busy` of its `slots` are taken, and `queued` requests wait. `price_set_by` is
    operator, account, node or default.

    `facts` are what the node says beyond that, of the file, the engine and the speeds it measured.
    """

    id: str
    capabilities: list[str]
    context_length: int | None
    quantization: str | None
    price_msat: PriceMsat
    price_set_by: str
    slots: int
    busy: int
    queued: int
    facts: dict[str, str | int | float]


class OwnNode(msgspec.Struct, frozen=True):
    """A node that is connected. `state` is online, paused, draining or starting; all but the first have no models.

    `facts` are what it says of its machine. `token` is the id of the node token that it came with, null where it came
    with none.
    """

    id: str
    name: str
    state: str
    token: str | None
    facts: dict[str, str | int | float]
    models: list[OfferedModel]


class Nodes(msgspec.Struct, frozen=True):
    """By name."""

    data: list[OwnNode]


@get(
    "/nodes",
    name="nodes",
    tags=["nodes"],
    guards=[Requires(Scope.ACCOUNT)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def list_nodes(principal: Given[Principal], gateway: Given[Gateway]) -> Nodes:
    """The account's own nodes that are connected, and what they offer."""
    return Nodes(nodes_of(principal.account_id, gateway))


def nodes_of(account_id: str, gateway: Gateway) -> list[OwnNode]:
    """The nodes of the account of this id that are connected, by name."""
    return described([each for each in gateway.catalogue.nodes() if each.node.owner == account_id], gateway)


def described(nodes: Sequence[ConnectedNode], gateway: Gateway) -> list[OwnNode]:
    """These nodes, by name, with what they offer."""
    connected = sorted(nodes, key=lambda each: (each.node.name, each.node.id))
    entries: dict[str, list[Entry]] = {each.node.id: [] for each in connected}
    for entry in gateway.catalogue.entries():
        entries.get(entry.offer.node.id, []).append(entry)
    with gateway.catalogue.loads_held():
        return [_own(each, entries[each.node.id], gateway) for each in connected]


def _own(connected: ConnectedNode, entries: Sequence[Entry], gateway: Gateway) -> OwnNode:
    node = connected.node
    models = [_model(entry, gateway) for entry in entries]
    return OwnNode(node.id, node.name, connected.state.value, connected.credential, dict(node.facts), models)


def _model(entry: Entry, gateway: Gateway) -> OfferedModel:
    offer, load = entry.offer, entry.load()
    in_force = gateway.price(offer)
    return OfferedModel(
        id=offer.model.id,
        capabilities=sorted(offer.model.capabilities),
        context_length=offer.model.context_length,
        quantization=offer.model.quantization,
        price_msat=PriceMsat(**attrs.asdict(in_force.price)),
        price_set_by=in_force.source.value,
        slots=offer.slots,
        busy=load.busy,
        queued=load.queued,
        facts={**offer.facts, **load.facts},
    )
