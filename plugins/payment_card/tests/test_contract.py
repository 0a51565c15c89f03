"""Cards under the core's contract, against a Stripe of ours."""

from __future__ import annotations

import pytest
from lightphon_payment_card.testing.payer import CardPayer
from lightphon_payment_card.testing.server import StripeServer

from lightphon_core.testing.payments.contract import PaymentProviderContract


class TestCardDeposits(PaymentProviderContract):
    @pytest.fixture
    def payer(self, stripe: StripeServer) -> CardPayer:
        return CardPayer(stripe)
