"""GET /deposits/{id}: where a payer's browser comes back to. Says how the deposit stands, by the database alone.

Whoever has a deposit's id may look: nobody can guess one, and no account, wallet or way to pay is shown. What the
browser sends along, such as a query in which a checkout page speaks of success, is neither believed nor shown. It works
without a script.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from litestar import Response, get
from litestar.params import PathParameter

from lightphon_core.errors import NotFound
from lightphon_core.payments.deposits import store
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor
from lightphon_core.web.pages.wallet.deposit_state import state_of

REFRESH_S = 3
HEADERS = {"referrer-policy": "no-referrer", "x-robots-tag": "noindex"}
_ID = re.compile(r"dep_[0-9a-f]{24}", re.ASCII)


@get("/deposits/{deposit_id:str}", name="deposit_page")
async def deposit_page(
    request: Asked,
    deposit_id: Annotated[str, PathParameter(description="A deposit's id.")],
    anybody: Given[Visitor | None],
    deposits: Given[Deposits],
) -> Response[str]:
    """The page. Who comes back as the deposit's owner is shown the way to the wallet."""
    try:
        if not _ID.fullmatch(deposit_id):
            raise NotFound("There is no deposit with this id.")
        deposit = await deposits.database.read(partial(store.get_deposit, deposit_id=deposit_id))
    except NotFound:
        answer = page(request, "wallet/deposit.html", anybody, status=404, deposit=None, every_s=REFRESH_S)
    else:
        provider = deposits.providers.get(deposit.provider)
        answer = page(
            request,
            "wallet/deposit.html",
            anybody,
            deposit=state_of(deposit),
            id=deposit.id,
            is_own=anybody is not None and anybody.account.id == deposit.account,
            play_money=provider is not None and provider.play_money,
            every_s=REFRESH_S,
        )
    answer.headers |= HEADERS
    return answer
