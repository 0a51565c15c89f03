"""GET /api/wallet: what an account has, what is on hold, and its latest entries."""

from __future__ import annotations

from functools import partial

import msgspec
from litestar import Request, get
from litestar.datastructures import State
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from lightphon_core.ledger.statement import overview
from lightphon_core.money import sats
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Database
from lightphon_core.types import Scope
from lightphon_core.web.authentication import authenticate, credentials_of, require


@get("/api/wallet", name="wallet")
async def wallet(request: Request[None, None, State]) -> ASGIApp:
    """Amounts are in msat; those in sats are decimal strings."""
    gateway: Gateway = request.app.state.gateway
    principal = await authenticate(gateway.authenticators, credentials_of(request))
    require(principal, Scope.INFERENCE)
    account = principal.account_id

    database: Database = request.app.state.database
    found, lines = await database.read(partial(overview, account=account))
    body = {
        "available_msat": found.available,
        "available": sats(found.available),
        "held_msat": found.held,
        "currency": "sat",
        "by_origin_msat": {str(origin): amount for origin, amount in found.by_origin.items() if amount},
        "pending_earnings_msat": {str(origin): amount for origin, amount in found.pending.items() if amount},
        "statement": [
            {
                "id": line.id,
                "at": line.at // 1_000_000,
                "kind": line.kind,
                "note": line.note,
                "amount_msat": line.amount,
            }
            for line in lines
        ],
    }
    return ASGIResponse(body=msgspec.json.encode(body), media_type="application/json")
