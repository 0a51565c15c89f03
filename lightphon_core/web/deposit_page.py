"""GET /deposits/{id}: where a payer's browser comes back to. Says how the deposit stands, by the database alone.

Whoever has a deposit's id may look: nobody can guess one, and no account, wallet or way to pay is shown. What the
browser sends along, such as a query in which a checkout page speaks of success, is neither believed nor shown.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import partial
from html import escape
from typing import Annotated

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.params import PathParameter

from lightphon_core.errors import NotFound
from lightphon_core.money import euros, sats
from lightphon_core.payments.deposits import store
from lightphon_core.payments.deposits.deposit import Deposit, Status
from lightphon_core.payments.deposits.service import Deposits

REFRESH_S = 3
STYLE = (
    ":root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:12vh auto;"
    "padding:0 1.5rem}h1{font-size:1.6rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}
_ID = re.compile(r"dep_[0-9a-f]{24}", re.ASCII)
_WAITING = ("Waiting for the payment", "This page looks again by itself. The payment counts even if you close it.")
_SAYS = {
    Status.CREATING: _WAITING,
    Status.OPEN: _WAITING,
    Status.EXPIRED: ("Not paid in time", "If you have paid all the same, it will still be credited."),
    Status.FAILED: ("Not opened", "There is nothing to pay. Open another deposit."),
    Status.SETTLED: ("Paid", "It is in the wallet. You can close this page."),
    Status.REVERSED: ("Taken back", "The payment was refunded or disputed, and is no longer in the wallet."),
}


@get("/deposits/{deposit_id:str}", name="deposit_page", include_in_schema=False)
async def deposit_page(
    request: Request[None, None, State], deposit_id: Annotated[str, PathParameter(description="A deposit's id.")]
) -> Response[str]:
    """The page, in plain HTML."""
    deposits: Deposits = request.app.state.deposits
    try:
        if not _ID.fullmatch(deposit_id):
            raise NotFound("There is no deposit with this id.")
        deposit = await deposits.database.read(partial(store.get_deposit, deposit_id=deposit_id))
    except NotFound:
        return _page("No such deposit", ["There is no deposit at this address."], status=404)
    title, words = _SAYS[deposit.status]
    waits = deposit.status in (Status.CREATING, Status.OPEN)
    provider = deposits.providers.get(deposit.provider)
    worthless = ["This is play money: it is worth nothing."] if provider is not None and provider.play_money else []
    return _page(title, [_amount(deposit), words, *worthless], refresh=waits)


def _amount(deposit: Deposit) -> str:
    credited = sats(deposit.amount if deposit.received is None else deposit.received)
    if deposit.price is None:
        return f"{credited} sats"
    return f"{euros(deposit.price.cents)} {deposit.price.currency} for {credited} sats"


def _page(title: str, paragraphs: list[str], *, status: int = 200, refresh: bool = False) -> Response[str]:
    again = f'<meta http-equiv="refresh" content="{REFRESH_S}">' if refresh else ""
    text = "".join(f"<p>{escape(each)}</p>" for each in paragraphs)
    return Response(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">{again}<title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{text}</body></html>",
        status_code=status,
        headers=HEADERS,
        media_type="text/html",
    )
