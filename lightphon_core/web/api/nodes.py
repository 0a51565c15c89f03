"""/api/nodes: one's own nodes that are connected."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import attrs
import msgspec
from litestar import get

from lightphon_core.ledger.node_usage import NodeUsage, Served, node_usage_of
from lightphon_core.routing.catalogue import Entry
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.clock import database_now
from lightphon_core.storage.engine import Connection, Database
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


class ServedAnswers(msgspec.Struct, frozen=True):
    """The answers that a node gave. `ms` is time of inference; `earned_msat` is what its account got for them, before
    anything was taken back."""

    answers: int
    prompt_tokens: int
    completion_tokens: int
    ms: int
    earned_msat: int


class OwnNode(msgspec.Struct, frozen=True):
    """A node that is connected. `state` is online, paused, draining or starting; all but the first have no models.

    `facts` are what it says of its machine. `token` is the id of the node token that it came with, null where it came
    with none. `today` is since midnight UTC.
    """

    id: str
    name: str
    state: str
    token: str | None
    facts: dict[str, str | int | float]
    models: list[OfferedModel]
    today: ServedAnswers
    last_30_days: ServedAnswers


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
async def list_nodes(principal: Given[Principal], gateway: Given[Gateway], database: Given[Database]) -> Nodes:
    """The account's own nodes that are connected, what they offer, and what they have served."""
    return Nodes(await nodes_of(principal.account_id, gateway, database))


async def nodes_of(account_id: str, gateway: Gateway, database: Database) -> list[OwnNode]:
    """The nodes of the account of this id that are connected, by name. Raises `StorageUnavailable`."""
    own = [each for each in gateway.catalogue.nodes() if each.node.owner == account_id]
    return await described(own, gateway, database)


async def described(nodes: Sequence[ConnectedNode], gateway: Gateway, database: Database) -> list[OwnNode]:
    """These nodes, by name, with what they offer and what they have served. Raises `StorageUnavailable`."""
    served = await database.read(partial(_served, owners={each.node.owner for each in nodes if each.node.owner}))
    connected = sorted(nodes, key=lambda each: (each.node.name, each.node.id))
    entries: dict[str, list[Entry]] = {each.node.id: [] for each in connected}
    for entry in gateway.catalogue.entries():
        entries.get(entry.offer.node.id, []).append(entry)
    with gateway.catalogue.loads_held():
        return [
            _own(each, entries[each.node.id], served.get((each.node.owner or "", each.node.id), NodeUsage()), gateway)
            for each in connected
        ]


def _served(connection: Connection, owners: Collection[str]) -> dict[tuple[str, str], NodeUsage]:
    return node_usage_of(connection, owners, now=database_now(connection))


def _own(connected: ConnectedNode, entries: Sequence[Entry], usage: NodeUsage, gateway: Gateway) -> OwnNode:
    node = connected.node
    return OwnNode(
        id=node.id,
        name=node.name,
        state=connected.state.value,
        token=connected.credential,
        facts=dict(node.facts),
        models=[_model(entry, gateway) for entry in entries],
        today=_answers(usage.today),
        last_30_days=_answers(usage.lately),
    )


def _answers(served: Served) -> ServedAnswers:
    return ServedAnswers(served.requests, served.prompt_tokens, served.completion_tokens, served.ms, served.earned_msat)


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
