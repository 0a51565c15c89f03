"""/admin/prices, /admin/payouts and /admin/ledger: what things cost, what leaves, and that the books are right."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from lightphon_core.accounts.directory import names_of
from lightphon_core.errors import NotFound
from lightphon_core.ledger.prover import Prover
from lightphon_core.payments.payouts import store
from lightphon_core.payments.payouts.administration import PayoutAdministration
from lightphon_core.payments.payouts.payout import NOT_SENT, SENT, UNDER_WAY
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings, default_config
from lightphon_core.storage.engine import Database
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.ledger_proof import ledger_proof
from lightphon_core.web.api.model_prices import operator_prices
from lightphon_core.web.api.payout_administration import account_payout, freeze_info
from lightphon_core.web.pages.frame.prices import price_in_words
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor

ON_A_PAGE = 50
MOST_UNDER_WAY = 200

_PAYOUT = re.compile(r"pay_[0-9a-f]{32}")


@get("/admin/prices", name="admin-prices-page")
async def prices(
    request: Asked, administrator: Given[Visitor], gateway: Given[Gateway], settings: Given[Settings]
) -> Response[str]:
    """What the operator asks for models, and the house's share."""
    return page(
        request,
        "admin/prices.html",
        administrator,
        prices=operator_prices(gateway),
        in_words=price_in_words,
        models=[listed.model.id for listed in gateway.catalogue.models()],
        file=settings.config or default_config({}, data_dir=settings.data_dir),
    )


@get("/admin/payouts", name="admin-payouts-page")
async def payouts(
    request: Asked,
    administrator: Given[Visitor],
    database: Given[Database],
    payouts: Given[Payouts],
    payout_administration: Given[PayoutAdministration],
    show: Annotated[str, QueryParameter(description="all, else those that have not ended.")] = "",
    before: Annotated[str | None, QueryParameter(description="Only payouts before this one.")] = None,
) -> Response[str]:
    """Those that have not ended, the oldest first; or all, the latest first."""
    if before is not None and not _PAYOUT.fullmatch(before):
        raise NotFound("There is no payout with this id.")
    older = None
    if show == "all":
        found = list(await payouts.list(limit=ON_A_PAGE + 1, before=before))
        older = found[ON_A_PAGE - 1].id if len(found) > ON_A_PAGE else None
        found = found[:ON_A_PAGE]
    else:
        found = await database.read(partial(store.to_do, states=UNDER_WAY, limit=MOST_UNDER_WAY))
    names = await database.read(partial(names_of, account_ids={each.account for each in found}))
    return page(
        request,
        "admin/payouts.html",
        administrator,
        payouts=[account_payout(each) for each in found],
        names=names,
        freezes=[freeze_info(each) for each in await payout_administration.freezes()],
        providers=sorted(payouts.providers),
        show_all=show == "all",
        older_payout=older,
        not_sent=NOT_SENT,
        sent=SENT,
    )


@get("/admin/ledger", name="admin-ledger-page")
async def ledger(request: Asked, administrator: Given[Visitor], prover: Given[Prover]) -> Response[str]:
    """The proof of the books, made now."""
    return page(request, "admin/ledger.html", administrator, proof=ledger_proof(await prover.prove()))


ROUTES = [prices, payouts, ledger]
