"""The public face of LightPhon's core: what a plugin author imports."""

from importlib.metadata import version as _version

from lightphon_core.errors import (
    BackendError,
    InsufficientBalance,
    LightPhonError,
    Overloaded,
    PluginError,
    Refused,
    SettingsError,
    StorageUnavailable,
    TimedOut,
    Unauthenticated,
    Unavailable,
)
from lightphon_core.hookspecs import hookimpl
from lightphon_core.host import Clock, Host, Tasks
from lightphon_core.money import Amount
from lightphon_core.ports import Authenticator, Backend, PaymentProvider, Scorer
from lightphon_core.settings import Secret
from lightphon_core.types import (
    Capability,
    ConnectedNode,
    Credentials,
    Earnings,
    Filters,
    Focus,
    Job,
    Load,
    Model,
    Needs,
    Node,
    NodeState,
    Offer,
    Price,
    PriceInForce,
    PriceSource,
    Principal,
    Scope,
    Size,
    Sort,
    Stats,
)

__version__ = _version("lightphon-core")

__all__ = [
    "Amount",
    "Authenticator",
    "Backend",
    "BackendError",
    "Capability",
    "Clock",
    "ConnectedNode",
    "Credentials",
    "Earnings",
    "Filters",
    "Focus",
    "Host",
    "InsufficientBalance",
    "Job",
    "LightPhonError",
    "Load",
    "Model",
    "Needs",
    "Node",
    "NodeState",
    "Offer",
    "Overloaded",
    "PaymentProvider",
    "PluginError",
    "Price",
    "PriceInForce",
    "PriceSource",
    "Principal",
    "Refused",
    "Scope",
    "Scorer",
    "Secret",
    "SettingsError",
    "Size",
    "Sort",
    "Stats",
    "StorageUnavailable",
    "Tasks",
    "TimedOut",
    "Unauthenticated",
    "Unavailable",
    "__version__",
    "hookimpl",
]
