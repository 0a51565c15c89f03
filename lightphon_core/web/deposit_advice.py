"""What an answer with status 402 says on how to pay."""

from __future__ import annotations

from typing import Any

from litestar import Request

from lightphon_core.errors import InsufficientBalance
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.settings import Settings
from lightphon_core.web.api.origin import origin_of


def with_advice(error: InsufficientBalance, request: Request[Any, Any, Any]) -> InsufficientBalance:
    """The same error; its message goes on with how to deposit on the server that was asked."""
    deposits: Deposits = request.app.state.deposits
    settings: Settings = request.app.state.settings
    server = origin_of(settings.server.public_url, request.headers.get("host"), request.scope["scheme"]) or ""
    return InsufficientBalance(
        f"{error.message} {advice(server, sorted(deposits.providers))}", param=error.param, code=error.code
    )


def advice(server: str, providers: list[str]) -> str:
    """How to deposit at the URL `server`, through these providers."""
    if not providers:
        return "This server takes no deposits: ask its operator for credit."
    which = f', "provider": "{providers[0]}"' if len(providers) > 1 else ""
    return (
        f'To deposit, POST {server}/api/deposits {{"amount_sats": 1000{which}}} with the same key, and pay what the '
        "answer has; or run: lightphon deposit open 1000."
    )
