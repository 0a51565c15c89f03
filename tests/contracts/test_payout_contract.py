"""The suite of payout providers passes one that keeps its promises, and each check catches one that breaks its own."""

import pytest

from lightphon_core.testing import PayoutProviderContract, ScriptedPayouts
from lightphon_core.testing.scripted_sides import ScriptedPayee


class TestScriptedPayouts(PayoutProviderContract):
    @pytest.fixture
    def payee(self):
        return ScriptedPayee(ScriptedPayouts())


class TestWithALeastCap(PayoutProviderContract):
    """A wallet that pays only where it may spend so much on fees."""

    @pytest.fixture
    def payee(self):
        return ScriptedPayee(ScriptedPayouts(least_cap=4_000))
