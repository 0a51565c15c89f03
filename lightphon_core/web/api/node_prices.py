"""/api/nodes/ID/price: what an account asks for a model of its node, whatever the node itself asks."""

from __future__ import annotations

from typing import Annotated

import attrs
import msgspec
from litestar import delete, put
from litestar.params import JSONBody, PathParameter, QueryParameter

from lightphon_core.accounts.terms import MODEL_LENGTH
from lightphon_core.errors import NotFound
from lightphon_core.ledger.offer_prices import Priced
from lightphon_core.money import MAX_PRICE_MSAT
from lightphon_core.serving.gateway import Gateway
from lightphon_core.types import NodeState, Offer, Price, Principal, Scope
from lightphon_core.web.api.body import Body
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.nodes import PriceMsat
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals

NODE_ID_LENGTH = 100
PATH = "/nodes/{node_id:str}/price"

NodeId = Annotated[str, PathParameter(max_length=NODE_ID_LENGTH, description="As GET /api/nodes has it.")]
ModelId = Annotated[str, msgspec.Meta(max_length=MODEL_LENGTH)]
Part = Annotated[int, msgspec.Meta(ge=0, le=MAX_PRICE_MSAT)]


class NewPrice(Body):
    """For a minute of inference, a million tokens, and each request, in msat; what is left out is 0. `model` is the id
    of a model that the node offers now; of one that is not online just now, as a paused one, any that it may offer."""

    model: ModelId
    per_minute: Part = 0
    per_mtok_prompt: Part = 0
    per_mtok_completion: Part = 0
    per_request: Part = 0


class ModelPrice(msgspec.Struct, frozen=True):
    """The price in force, and who set it: operator, account, node or default. null: the model is not on offer now."""

    node: str
    model: str
    price_msat: PriceMsat | None
    price_set_by: str | None


@put(
    PATH,
    name="node-price",
    tags=["nodes"],
    guards=[Requires(Scope.MANAGE)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED, *TAKES_BODY, 404),
)
async def set_node_price(
    node_id: NodeId, data: JSONBody[NewPrice], principal: Given[Principal], gateway: Given[Gateway]
) -> ModelPrice:
    """Ask this price for a model of one's own node from now on. Answers that have begun keep theirs. The operator's
    price for a model, where there is one, stays in force."""
    if _offer(gateway, principal, node_id, data.model) is None:
        _require_not_online(gateway, principal, node_id, data.model)
    price = Price(data.per_minute, data.per_mtok_prompt, data.per_mtok_completion, data.per_request)
    await gateway.agreed.set(Priced(principal.account_id, node_id, data.model), price)
    return _in_force(gateway, principal, node_id, data.model)


@delete(
    PATH,
    name="no-node-price",
    tags=["nodes"],
    status_code=200,
    guards=[Requires(Scope.MANAGE)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED, 404),
)
async def remove_node_price(
    node_id: NodeId,
    model: Annotated[str, QueryParameter(max_length=MODEL_LENGTH, description="Whose price to remove.")],
    principal: Given[Principal],
    gateway: Given[Gateway],
) -> ModelPrice:
    """Leave the price of a model to the node again. The node need not be online."""
    # Not every text can be asked a database for.
    known = (node_id + model).isprintable()
    if not known or not await gateway.agreed.remove(Priced(principal.account_id, node_id, model)):
        raise NotFound("You have set no price for this model on this node.", param="model")
    return _in_force(gateway, principal, node_id, model)


ROUTES = [set_node_price, remove_node_price]


def _offer(gateway: Gateway, principal: Principal, node_id: str, model: str) -> Offer | None:
    """The offer of this model on this node, if the node is the principal's own."""
    for entry in gateway.catalogue.entries():
        offer = entry.offer
        if offer.node.owner == principal.account_id and (offer.node.id, offer.model.id) == (node_id, model):
            return offer
    return None


def _require_not_online(gateway: Gateway, principal: Principal, node_id: str, model: str) -> None:
    """Pass on a node of the principal's own that is connected and not online, but paused, say: what it will offer then,
    only its owner knows. Raises `NotFound`."""
    states = {each.node.id: each.state for each in gateway.catalogue.nodes() if each.node.owner == principal.account_id}
    if node_id not in states:
        raise NotFound("You have no node with this id that is connected. GET /api/nodes lists them.", param="node_id")
    if states[node_id] is NodeState.ONLINE:
        raise NotFound(
            f"This node does not offer the model {model!r} now. GET /api/nodes lists what it offers.", param="model"
        )


def _in_force(gateway: Gateway, principal: Principal, node_id: str, model: str) -> ModelPrice:
    offer = _offer(gateway, principal, node_id, model)
    if offer is None:
        return ModelPrice(node_id, model, None, None)
    found = gateway.price(offer)
    return ModelPrice(node_id, model, PriceMsat(**attrs.asdict(found.price)), found.source.value)
