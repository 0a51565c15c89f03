"""For plugin authors' tests: contract suites, a scripted backend, a live server. Needs `lightphon-core[testing]`."""

from lightphon_core.testing.authenticator import AuthenticatorContract
from lightphon_core.testing.backend import BackendContract
from lightphon_core.testing.host import host_for
from lightphon_core.testing.live import LiveServer
from lightphon_core.testing.payments.contract import PaymentProviderContract
from lightphon_core.testing.payments.scripted import ScriptedPayments
from lightphon_core.testing.payouts.contract import PayoutProviderContract
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.testing.scorer import ScorerContract
from lightphon_core.testing.scripted import ScriptedBackend, plugin_of
from lightphon_core.testing.sides import MSAT_PER_CENT, Can, Payee, Payer

__all__ = [
    "MSAT_PER_CENT",
    "AuthenticatorContract",
    "BackendContract",
    "Can",
    "LiveServer",
    "Payee",
    "Payer",
    "PaymentProviderContract",
    "PayoutProviderContract",
    "ScorerContract",
    "ScriptedBackend",
    "ScriptedPayments",
    "ScriptedPayouts",
    "host_for",
    "plugin_of",
]
