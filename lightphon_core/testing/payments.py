"""What every `PaymentProvider` must do, by itself; `deposits.py` beside this has what must come of it in the books."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from lightphon_core.testing import payment_news, payment_states
from lightphon_core.testing.sides import Payer

Check = Callable[[Payer], Awaitable[None]]
CHECKS: list[Check] = [
    payment_states.check_name,
    payment_states.check_open,
    payment_states.check_waiting,
    payment_states.check_settled,
    payment_states.check_amounts,
    payment_states.check_unknown,
    payment_states.check_expiry,
    payment_states.check_cut,
    payment_states.check_lost_reply,
    payment_news.check_events,
    payment_news.check_events_end,
    payment_news.check_webhook,
    payment_news.check_manners,
]


class PaymentProviderContract:
    """Subclass it in a test file, and give the fixture `payer`: over a wallet that nobody else uses meanwhile."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(self, check: Check, payer: Payer) -> None:
        """One promise of the port."""
        await check(payer)
