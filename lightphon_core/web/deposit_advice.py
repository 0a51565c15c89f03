"""What an answer with status 402 says on how to pay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request

from lightphon_core.errors import InsufficientBalance
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.ports import PaymentProvider
from lightphon_core.settings import Settings
from lightphon_core.web.api.origin import origin_of


def with_advice(error: InsufficientBalance, request: Request[Any, Any, Any]) -> InsufficientBalance:
    """The same error; its message goes on with how to deposit on the server that was asked."""
    deposits: Deposits = request.app.state.deposits
    settings: Settings = request.app.state.settings
    server = origin_of(settings.server.public_url, request.headers.get("host"), request.scope["scheme"]) or ""
    advised = advice(server, list(deposits.providers.values()))
    return InsufficientBalance(f"{error.message} {advised}", param=error.param, code=error.code)


def advice(server: str, providers: Sequence[PaymentProvider]) -> str:
    """How to deposit at the URL `server`, through one of these providers: rather one that is paid in sats."""
    if not providers:
        return "This server takes no deposits: ask its operator for credit."
    first = min(providers, key=lambda provider: (provider.currency is not None, provider.name))
    asked, typed = ('"amount_sats": 1000', "1000") if first.currency is None else ('"amount_eur": "5.00"', "--eur 5.00")
    which, option = (f', "provider": "{first.name}"', f" --provider {first.name}") if len(providers) > 1 else ("", "")
    return (
        f"To deposit, POST {server}/api/deposits {{{asked}{which}}} with the same key, and pay what the answer has; "
        f"or run: lightphon deposit open {typed}{option}."
    )
