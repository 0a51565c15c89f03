"""What is the same in every daemon that is asked to pay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from lightphon_core import NotKnown, NotSent, PaymentState, ProviderUnavailable
from lightphon_payment_lightning.wallets.wallet import Wallet

T = TypeVar("T")

PATIENCE_S = 20.0
"""How long `pay` waits for the outcome. The daemon goes on by itself."""


async def patiently(
    wallet: Wallet, payment_hash: str, sending: Coroutine[Any, Any, PaymentState], patience_s: float
) -> PaymentState:
    """What `sending` says; where it takes longer, what the wallet says of the payment then.

    Raises:
        ProviderUnavailable: as `sending` does; or it took too long, and the wallet knows of no such payment.
    """
    try:
        async with asyncio.timeout(patience_s):
            return await sending
    except TimeoutError:
        state = await afterwards(wallet.payment(payment_hash))
    if isinstance(state, NotKnown):
        raise ProviderUnavailable("The Lightning wallet has not said yet whether it pays.")
    return state


async def afterwards(question: Awaitable[T]) -> T:
    """The answer to `question`, once the wallet was asked to pay. Never raises `NotSent`: that it cannot be reached now
    does not say that it was not asked before."""
    try:
        return await question
    except NotSent as error:
        raise ProviderUnavailable("The Lightning wallet does not answer at the moment.") from error
