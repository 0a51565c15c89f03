"""/status: whether this server works, how much there is in all, and how fast it answers; for everybody. The models by
name are for those who may see the list of models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from attrs import frozen
from litestar import Response, get

from lightphon_core.errors import StorageUnavailable
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.payments.payouts.administration import PayoutAdministration
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.status import status_of
from lightphon_core.web.model_list import Allowed, ModelList
from lightphon_core.web.monitoring.health import NotReady, Readiness
from lightphon_core.web.monitoring.recent import Recent
from lightphon_core.web.pages.frame.prices import price_in_words
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor, anybody


@frozen
class ShownModel:
    """A row of the table: the facts of GET /v1/models, and the speed of the fastest node, which was measured lately."""

    id: str
    owned_by: str
    maker: str | None
    params_b: float | None
    capabilities: Sequence[str]
    context_length: int | None
    price: str
    nodes_online: int
    tokens_per_s: float | None


@frozen
class Service:
    """Something that works or not: `word` says which, `more` what that means. `kind` is the badge's."""

    name: str
    word: str
    kind: str
    more: str


@get("/status", name="status-page")
async def status_page(
    request: Asked,
    gateway: Given[Gateway],
    recent: Given[Recent],
    settings: Given[Settings],
    deposits: Given[Deposits],
    payouts: Given[Payouts],
    payout_administration: Given[PayoutAdministration],
) -> Response[str]:
    """The page works, too, when the database does not."""
    visitor = await _visitor(request)
    models = None
    if visitor is not None or settings.server.open_models:
        models = shown_models(request.app.state.models, gateway, visitor.principal.models if visitor else None)
    return page(
        request,
        "network/status.html",
        visitor,
        now=status_of(gateway, recent),
        services=[
            await _requests(request.app.state.readiness),
            _deposits(deposits),
            await _payouts(payouts, payout_administration),
        ],
        models=models,
    )


def shown_models(listed: ModelList, gateway: Gateway, allowed: Allowed) -> list[ShownModel]:
    """The models that somebody may see, by id."""
    speeds: defaultdict[str, list[float]] = defaultdict(list)
    for entry in gateway.catalogue.entries():
        speed = gateway.router.observations.of(entry.key).tokens_per_s
        if speed is not None:
            speeds[entry.offer.model.id].append(speed)
    return [
        ShownModel(
            each.model.id,
            each.model.owner,
            each.model.maker,
            each.model.params_b,
            sorted(each.model.capabilities),
            each.model.context_length,
            "" if price is None else price_in_words(price),
            each.nodes_online,
            max(speeds[each.model.id], default=None),
        )
        for each, price in listed.offered(allowed)
    ]


async def _visitor(request: Asked) -> Visitor | None:
    try:
        return await anybody(request)
    except StorageUnavailable:
        return None


async def _requests(readiness: Readiness) -> Service:
    try:
        await readiness.check()
    except NotReady as error:
        return Service("Requests", "not now", "bad", error.message)
    return Service("Requests", "taken", "good", "The server and its database work.")


def _deposits(deposits: Deposits) -> Service:
    if not deposits.providers:
        return Service("Deposits", "none here", "", "This server has no way to pay in.")
    names = ", ".join(sorted(deposits.providers))
    if any(each.play_money for each in deposits.providers.values()):
        return Service("Deposits", "play money", "warn", f"By {names}. The money of this server is worth nothing.")
    return Service("Deposits", "possible", "good", f"By {names}.")


async def _payouts(payouts: Payouts, administration: PayoutAdministration) -> Service:
    if not payouts.providers or not payouts.settings.enabled:
        return Service("Withdrawals", "none here", "", "This server pays nothing out.")
    try:
        if await administration.freezes():
            return Service(
                "Withdrawals", "paused", "warn", "What is asked for now is paid once the operator has looked."
            )
    except StorageUnavailable:
        return Service("Withdrawals", "unknown", "bad", "The database does not answer at the moment.")
    return Service("Withdrawals", "possible", "good", f"By {', '.join(sorted(payouts.providers))}.")
