"""/api/models/route: the router, asked directly. Nothing is sent anywhere."""

from __future__ import annotations

import attrs
import msgspec
from litestar import post
from litestar.params import JSONBody

from lightphon_core.openai.route import RouteQuery, filters_of
from lightphon_core.openai.selection import AUTO, read_model, session_named
from lightphon_core.routing.router import Ranked
from lightphon_core.serving.gateway import Gateway
from lightphon_core.types import Capability, Needs, Principal, Scope
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.api.nodes import PriceMsat
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals

CANDIDATES = 10
"""How many are shown unless `limit` says otherwise."""
NOT_CHAT = frozenset({Capability.COMPLETION, Capability.EMBEDDING, Capability.INFILL})
"""What has endpoints of its own; who asks for none of them wants to chat."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A model on one node. `score`, and each scorer's part of it, is from 0 to 1. `price` is in force now, and
    `expected_cost_msat` what this answer would be expected to cost by it. `busy` of its `slots` are taken.
    `tokens_per_s` and `ttft_ms` were measured lately. What nobody knows is null."""

    model: str
    node: str
    node_name: str
    owned_by: str
    maker: str | None
    score: float
    parts: dict[str, float]
    price: PriceMsat
    expected_cost_msat: int
    context_length: int | None
    capabilities: list[str]
    params_b: float | None
    quantization: str | None
    slots: int
    busy: int
    tokens_per_s: float | None
    ttft_ms: float | None


class Candidates(msgspec.Struct, frozen=True):
    """The best first. `excluded`: how many offers each condition left out, by its name. `faulty_scorers`: those that
    have answered what is no score since the server started, and so counted as without opinion there, by name."""

    candidates: list[Candidate]
    excluded: dict[str, int]
    faulty_scorers: dict[str, str]


@post(
    "/models/route",
    name="route_models",
    status_code=200,
    tags=["models"],
    guards=[Requires(Scope.INFERENCE, Scope.ACCOUNT)],
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED, *TAKES_BODY),
)
async def route_models(
    data: JSONBody[RouteQuery],
    principal: Given[Principal],
    gateway: Given[Gateway],
    via: Given[frozenset[str]],
) -> Candidates:
    """Who would be asked to serve such a request, of the models that the key may use, and in which order."""
    return candidates_of(data, principal, gateway, via)


def candidates_of(asked: RouteQuery, principal: Principal, gateway: Gateway, via: frozenset[str]) -> Candidates:
    """The answer to a request of `principal`'s that came through the gateways `via`. Raises as `needs_of`."""
    session = None if asked.session_id is None else session_named(asked.session_id)
    needs = gateway.needs_of(principal, needs_of(asked, via), session)
    ranking = gateway.router.consider(needs, allowed=principal.models)
    most = needs.filters.limit or CANDIDATES
    shown = [_candidate(each) for each in ranking.candidates[:most]]
    return Candidates(shown, dict(ranking.excluded), dict(gateway.router.faults))


def needs_of(asked: RouteQuery, via: frozenset[str]) -> Needs:
    """What the request that is asked about would need, had it come through the gateways `via`.

    Raises:
        InvalidRequest: a filter is wrong, or `model` is a kind of `auto` that there is not.
    """
    model, focus = read_model(asked.model or AUTO)
    filters = filters_of(asked)
    own = filters.capabilities or frozenset()
    return Needs(
        path="/v1/chat/completions",
        model=model,
        capabilities=frozenset() if own & NOT_CHAT else frozenset({Capability.CHAT}),
        prompt_tokens=asked.prompt_tokens or 0,
        max_output_tokens=asked.max_tokens,
        focus=focus,
        filters=filters,
        via=via,
    )


def _candidate(ranked: Ranked) -> Candidate:
    offer, stats = ranked.entry.offer, ranked.stats
    model, node = offer.model, offer.node
    return Candidate(
        model=model.id,
        node=node.id,
        node_name=node.name,
        owned_by=model.owner,
        maker=model.maker,
        score=ranked.score,
        parts=dict(ranked.parts),
        price=PriceMsat(**attrs.asdict(stats.price)),
        expected_cost_msat=stats.expected_msat,
        context_length=model.context_length,
        capabilities=sorted(model.capabilities),
        params_b=model.params_b,
        quantization=model.quantization,
        slots=offer.slots,
        busy=stats.load.busy,
        tokens_per_s=stats.tokens_per_s,
        ttft_ms=None if stats.ttft_s is None else round(stats.ttft_s * 1000, 1),
    )
