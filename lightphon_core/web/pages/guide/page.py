"""/guide: how to use the API of this server, for everybody, with its own address in every example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attrs import evolve, frozen
from litestar import Response, get

from lightphon_core.money import euros
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.ports import PaymentProvider
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import DepositSettings, Settings
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame import prices
from lightphon_core.web.pages.frame.formats import shown_sats
from lightphon_core.web.pages.frame.rendering import Asked, own_origin, page
from lightphon_core.web.pages.frame.visitors import Visitor
from lightphon_core.web.pages.guide import examples, reference, snippets
from lightphon_core.web.pages.guide.clients import clients

SECTIONS: Final = (
    ("overview", "What this is"),
    ("quick-start", "Quick start"),
    ("authentication", "Keys and tokens"),
    ("endpoints", "Endpoints"),
    ("chat", "Chat completions"),
    ("streaming", "Streaming"),
    ("router", "The router, and auto"),
    ("models", "Where models come from"),
    ("openclaw", "OpenClaw"),
    ("clients", "Clients"),
    ("errors", "Errors"),
    ("payment", "Prices and payment"),
    ("limits", "Limits"),
    ("faq", "Questions"),
)
"""The id and the title of each part, in order."""
FILTERS: Final = {"sort": "throughput", "max_price": 5}
"""Of the example."""


@frozen
class WayToPay:
    """A provider of deposits: its name, and the bounds of a deposit with their unit."""

    name: str
    least: str
    most: str
    unit: str
    play_money: bool


@get("/guide", name="guide-page")
async def guide(
    request: Asked,
    anybody: Given[Visitor | None],
    gateway: Given[Gateway],
    settings: Given[Settings],
    deposits: Given[Deposits],
) -> Response[str]:
    """The API guide."""
    origin = own_origin(request, settings)
    fill = snippets.Fill(origin, max_output=settings.limits.max_output_tokens)
    return page(
        request,
        "guide/page.html",
        anybody,
        sections=SECTIONS,
        examples=examples,
        snippets=snippets,
        fill=fill,
        filtered=evolve(fill, route=FILTERS),
        clients=clients(fill),
        parts=snippets.parts,
        tables=reference.TABLES,
        pieces=reference.pieces,
        settings=settings,
        price=prices.in_words(settings.pricing.price),
        own_prices={name: prices.in_words(each.price) for name, each in sorted(settings.pricing.models.items())},
        providers=_ways(list(deposits.providers.values()), settings.deposits),
        models_online=len(gateway.catalogue.models()),
        has_openclaw=any(entry.offer.model.owned_by == "OpenClaw" for entry in gateway.catalogue.entries()),
    )


def _ways(providers: Sequence[PaymentProvider], bounds: DepositSettings) -> list[WayToPay]:
    """The ways to pay in, by name."""
    in_sats = shown_sats(bounds.least), shown_sats(bounds.most), "sats"
    in_euros = euros(bounds.least_eur), euros(bounds.most_eur), "euros"
    return [
        WayToPay(each.name, *(in_sats if each.currency is None else in_euros), each.play_money)
        for each in sorted(providers, key=lambda each: each.name)
    ]
