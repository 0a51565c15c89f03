"""A Stripe of ours, and a provider that asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from lightphon_payment_card.deposits import CardDeposits
from lightphon_payment_card.testing.payer import settings_for
from lightphon_payment_card.testing.server import StripeServer

from lightphon_core.testing import host_for


@pytest.fixture
def stripe() -> Iterator[StripeServer]:
    with StripeServer() as server:
        yield server


@pytest.fixture
async def card(stripe: StripeServer) -> AsyncIterator[CardDeposits]:
    provider = CardDeposits(host_for(settings_for(stripe), plugin="card"))
    yield provider
    await provider.stop()
