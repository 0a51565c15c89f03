"""The suite of payment providers passes one that keeps its promises, and each check catches one that breaks its own."""

import pytest

from lightphon_core.testing import PaymentProviderContract, ScriptedPayments
from lightphon_core.testing.scripted_sides import ScriptedPayer


class TestScriptedPayments(PaymentProviderContract):
    @pytest.fixture
    def payer(self):
        return ScriptedPayer(ScriptedPayments())


class TestPolled(PaymentProviderContract):
    """One that pushes nothing."""

    @pytest.fixture
    def payer(self):
        return ScriptedPayer(ScriptedPayments(pushes=False))
