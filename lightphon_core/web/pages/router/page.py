"""/router: a key, the models that would answer, and what to paste into a program; the way to a first answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from attrs import evolve, frozen
from litestar import Response, get

from lightphon_core.accounts.credentials import list_credentials
from lightphon_core.accounts.secrets import Kind
from lightphon_core.openai.selection import AUTO
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.types import Capability, ListedModel, Size, Sort
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.route import Candidate, Candidates, candidates_of, needs_of
from lightphon_core.web.api.terms import CredentialInfo, credential_infos
from lightphon_core.web.pages.frame import prices
from lightphon_core.web.pages.frame.rendering import Asked, own_origin, page
from lightphon_core.web.pages.frame.visitors import Visitor
from lightphon_core.web.pages.guide import reference
from lightphon_core.web.pages.guide.clients import Client, clients
from lightphon_core.web.pages.guide.snippets import Fill, can_be_pasted, parts
from lightphon_core.web.pages.router.form import Form, choices, read_form

USE: Final = "use"
"""The parameter that has the model for the snippets; without it they leave the choice to the router."""
KINDS: Final = (Kind.API_KEY, Kind.AGENT_TOKEN)
LIFETIMES: Final = ((7, "a week"), (30, "30 days"), (90, "90 days"), (365, "a year"))
"""What a new key may be good for: days, and their name."""
_DAY_S: Final = 86_400


@frozen
class Chosen:
    """The model that goes into the snippets: `auto`, or one that is online. `missing` was asked for, and is not."""

    model: str = AUTO
    missing: str | None = None

    @property
    def is_auto(self) -> bool:
        """Whether the router chooses."""
        return self.model == AUTO


@get("/router", name="router-page")
async def router(
    request: Asked,
    visitor: Given[Visitor],
    gateway: Given[Gateway],
    database: Given[Database],
    settings: Given[Settings],
) -> Response[str]:
    """The Model Router. Its address has the filters and the model that were chosen, and can be shared."""
    query = [(name, value) for name, value in request.query_params.multi_items() if isinstance(value, str)]
    form = read_form(query)
    models = gateway.catalogue.models()
    chosen = _chosen(next((value for name, value in query if name == USE and value), None), models)
    ranking = Candidates([], {}, {})
    if form.error is None:
        ranking = candidates_of(form.query, visitor.principal, gateway, frozenset())
    fill = _fill(own_origin(request, settings), chosen, form, ranking.candidates, models, settings)
    return page(
        request,
        "router/page.html",
        visitor,
        keys=await database.read(partial(_keys, account=visitor.account.id)),
        expiries=[(int(gateway.clock.now()) + days * _DAY_S, name) for days, name in LIFETIMES],
        form=form,
        choices=choices([entry.offer for entry in gateway.catalogue.entries()], form),
        capabilities=list(Capability),
        sizes=list(Size),
        sorts=list(Sort),
        ranking=ranking,
        weights={} if form.error is not None else gateway.router.weights(needs_of(form.query, frozenset())),
        nodes_online={each.model.id: each.nodes_online for each in models},
        models=[each.model.id for each in models],
        chosen=chosen,
        clients=_both_ways(fill),
        can_be_pasted=can_be_pasted,
        words_of=reference.words_of,
        price_in_words=prices.in_words,
        parts=parts,
        pieces=reference.pieces,
    )


def _keys(connection: Connection, account: str) -> list[CredentialInfo]:
    """The keys and agent tokens of an account that are not revoked, the oldest first."""
    found = [each for each in list_credentials(connection, account_id=account, revoked=False) if each.kind in KINDS]
    return credential_infos(connection, found)


def _chosen(wanted: str | None, models: Sequence[ListedModel]) -> Chosen:
    if wanted is None or wanted == AUTO:
        return Chosen()
    if can_be_pasted(wanted) and any(each.model.id == wanted for each in models):
        return Chosen(wanted)
    return Chosen(missing=wanted)


def _fill(
    origin: str,
    chosen: Chosen,
    form: Form,
    candidates: Sequence[Candidate],
    models: Sequence[ListedModel],
    settings: Settings,
) -> Fill:
    """What the snippets are filled with. For `auto` a client is told the least context of those that may answer."""
    answering = [each for each in candidates if chosen.is_auto or each.model == chosen.model]
    contexts = [each.context_length for each in answering if each.context_length is not None]
    able = {each.model.id: each.model.capabilities for each in models if can_be_pasted(each.model.id)}
    chats = [each.model for each in candidates if each.model in able]
    return Fill(
        origin,
        model=chosen.model,
        route=form.route if chosen.is_auto else {},
        example=next(iter(chats), None),
        embedder=next((name for name, can in able.items() if Capability.EMBEDDING in can), None),
        infill=any(Capability.INFILL in can for can in able.values()),
        context=min(contexts, default=Fill(origin).context),
        max_output=settings.limits.max_output_tokens,
    )


def _both_ways(fill: Fill) -> list[tuple[Client, Client]]:
    """Each client, with a key and with an agent token."""
    return list(zip(clients(fill), clients(evolve(fill, by_token=True)), strict=True))
