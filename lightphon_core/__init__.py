"""The public face of LightPhon's core: what a plugin author imports."""

from lightphon_core.errors import (
    BackendError,
    LightPhonError,
    Overloaded,
    PluginError,
    Refused,
    TimedOut,
    Unauthenticated,
    Unavailable,
)
from lightphon_core.hookspecs import hookimpl
from lightphon_core.host import Clock, Host, Tasks
from lightphon_core.ports import Authenticator, Backend, PaymentProvider, Scorer
from lightphon_core.types import (
    Capability,
    Credentials,
    Job,
    Load,
    Model,
    Needs,
    Node,
    Offer,
    Principal,
    Scope,
    Stats,
)

__all__ = [
    "Authenticator",
    "Backend",
    "BackendError",
    "Capability",
    "Clock",
    "Credentials",
    "Host",
    "Job",
    "LightPhonError",
    "Load",
    "Model",
    "Needs",
    "Node",
    "Offer",
    "Overloaded",
    "PaymentProvider",
    "PluginError",
    "Principal",
    "Refused",
    "Scope",
    "Scorer",
    "Stats",
    "Tasks",
    "TimedOut",
    "Unauthenticated",
    "Unavailable",
    "hookimpl",
]
