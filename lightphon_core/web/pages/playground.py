"""/playground: talk to the models that are here now. Conversations stay in the browser; the server keeps none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from attrs import frozen
from litestar import Response, get
from litestar.params import QueryParameter

from lightphon_core.openai.selection import AUTO
from lightphon_core.routing.router import WHOLE, Router
from lightphon_core.serving.gateway import Gateway
from lightphon_core.types import Capability, Focus, Price
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame.assets import Assets
from lightphon_core.web.pages.frame.formats import shown_number
from lightphon_core.web.pages.frame.prices import price_in_words
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor

MARKDOWN: Final = ("vendor/marked.js", "vendor/purify.js")
"""What answers are rendered with; without both of them they are shown as plain text."""
KINDS_OF_AUTO: Final = {
    AUTO: "the best for each request",
    f"{AUTO}:{Focus.FAST}": "the quickest",
    f"{AUTO}:{Focus.CHEAP}": "what costs least",
    f"{AUTO}:{Focus.CODE}": "made for code",
    f"{AUTO}:{Focus.REASONING}": "thinks before it answers",
    f"{AUTO}:{Focus.FREE}": "costs nothing",
}
OPENCLAW: Final = "OpenClaw"


@frozen
class Choosable:
    """A model that chats. `price` is its cheapest offer's, None where that is not known; `facts` says it in words."""

    id: str
    is_openclaw: bool
    price: Price | None
    facts: str


@get("/playground", name="playground")
async def playground(
    request: Asked,
    visitor: Given[Visitor],
    gateway: Given[Gateway],
    model: Annotated[str | None, QueryParameter(max_length=512, description="The model to begin with.")] = None,
) -> Response[str]:
    """The page."""
    assets: Assets = request.app.state.assets
    choosable = models_that_chat(gateway.router)
    return page(
        request,
        "playground.html",
        visitor,
        models=choosable,
        kinds_of_auto=KINDS_OF_AUTO,
        wanted=model or "",
        markdown=all(map(assets.has, MARKDOWN)),
        needs_money=needs_money(visitor, choosable),
        some_free=any(each.price is not None and each.price.is_free for each in choosable),
        most_tokens=gateway.limits.max_output_tokens,
    )


def models_that_chat(router: Router) -> list[Choosable]:
    """Those on offer now, by id."""
    found = []
    for listed in router.models(WHOLE):
        model = listed.model
        if Capability.CHAT not in model.capabilities:
            continue
        price = router.price_of(model.id, WHOLE)
        facts = [] if price is None else [price_in_words(price)]
        if model.context_length is not None:
            facts.append(f"{shown_number(model.context_length)} tokens of context")
        facts.append("1 node" if listed.nodes_online == 1 else f"{listed.nodes_online} nodes")
        found.append(Choosable(model.id, model.owner == OPENCLAW, price, " · ".join(facts)))
    return found


def needs_money(visitor: Visitor, models: Sequence[Choosable]) -> bool:
    """Whether there is nothing in the wallet, and something that costs."""
    return visitor.wallet.available <= 0 and any(each.price is not None and not each.price.is_free for each in models)
