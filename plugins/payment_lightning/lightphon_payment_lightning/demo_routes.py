"""The payer's side of the demo wallet, over HTTP: whoever has a credential of the server plays the payer."""

from __future__ import annotations

import json
from typing import Any

from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler

from lightphon_core import Host, InvalidRequest
from lightphon_payment_lightning.wallets.demo import MAX_SATS, PAY_PATH, ROOT, Demo

MAX_BODY_BYTES = 16_384


def demo_routes(host: Host[Any], wallet: Demo) -> list[HTTPRouteHandler]:
    """`POST /api/demo-wallet/pay` and `POST /api/demo-wallet/invoice`."""

    @post(
        PAY_PATH,
        name="demo-wallet-pay",
        status_code=200,
        include_in_schema=False,
        request_max_body_size=MAX_BODY_BYTES,
    )
    async def pay(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        """Pay an invoice that fills a wallet."""
        await host.authenticate(request)
        invoice = await _field(request, "invoice", str)
        return Response({"status": "paid", "amount_msat": wallet.pay_in(invoice.strip()), "play_money": True})

    @post(
        f"{ROOT}/invoice",
        name="demo-wallet-invoice",
        status_code=200,
        include_in_schema=False,
        request_max_body_size=MAX_BODY_BYTES,
    )
    async def invoice(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        """An invoice to withdraw to."""
        await host.authenticate(request)
        amount = await _field(request, "amount_sats", int)
        if not 1 <= amount <= MAX_SATS:
            raise InvalidRequest(f"'amount_sats' must be from 1 to {MAX_SATS}.", param="amount_sats")
        return Response({"invoice": wallet.outside(amount * 1_000), "amount_sats": amount, "play_money": True})

    return [pay, invoice]


async def _field(request: Request[Any, Any, Any], name: str, kind: type[Any]) -> Any:
    """The one field of a JSON object. Raises `InvalidRequest`."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise InvalidRequest("The body must be a JSON object.") from None
    if not isinstance(body, dict) or set(body) != {name} or type(body[name]) is not kind:
        wanted = "text" if kind is str else "a whole number"
        raise InvalidRequest(
            f"The body must be a JSON object with the field '{name}' alone, which is {wanted}.", param=name
        )
    return body[name]
