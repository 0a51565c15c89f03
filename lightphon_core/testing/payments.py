"""What every `PaymentProvider` must do, by itself and in the core's books."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lightphon_core.testing import deposits, payment_news, payment_states
from lightphon_core.testing.books import books_in
from lightphon_core.testing.deposits import InBooks
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

    @pytest.mark.parametrize("check", deposits.CHECKS, ids=lambda check: check.__name__)
    async def test_books(self, check: InBooks, payer: Payer, tmp_path: Path) -> None:
        """One promise of what comes of it in the ledger."""
        await check(payer, books_in(tmp_path))
