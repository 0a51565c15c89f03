"""The servers that the settings name, wherever they stand, in one form."""

import hashlib

from attrs import field, frozen

from lightphon_backend_openclaw.addresses import root_of
from lightphon_backend_openclaw.settings import Kind, OpenClawSettings
from lightphon_core import Capability, Node, Price, Secret

OWNER = "OpenClaw"
"""Who owns the models of an OpenClaw gateway, as GET /v1/models tells."""


@frozen
class Instance:
    """One server. `url` has no /v1; `models` None stands for all that it lists. What it asks is `price`, None for the
    gateway's default. `capabilities` and `context_length` are the operator's word, None where there is none."""

    name: str
    kind: Kind
    url: str
    key: Secret | None = field(default=None, repr=False)
    price: Price | None = None
    timeout_s: float = 120.0
    slots: int = 4
    models: frozenset[str] | None = None
    capabilities: frozenset[Capability] | None = None
    context_length: int | None = None

    @property
    def owned_by(self) -> str | None:
        return OWNER if self.kind is Kind.OPENCLAW else None

    @property
    def node(self) -> Node:
        """The node that it is to clients: the same name is the same node."""
        digest = hashlib.sha256(self.name.encode()).hexdigest()
        gateway = Kind.OPENCLAW.value if self.kind is Kind.OPENCLAW else None
        return Node(id=f"{self.kind}-{digest[:20]}", name=self.name, gateway=gateway)


def instances_of(settings: OpenClawSettings) -> list[Instance]:
    """Those of the settings file, and before them the one of the variables."""
    found = []
    one = settings.openclaw
    if one is not None and one.enabled:
        found.append(
            Instance(
                name=one.node_name,
                kind=Kind.OPENCLAW,
                url=root_of(one.base_url),
                key=one.api_key,
                price=None if one.price is None else Price(per_minute=one.price),
                timeout_s=one.timeout,
                slots=one.slots,
                models=None if one.models is None else frozenset(one.models),
            )
        )
    for name, each in settings.instances.items():
        found.append(
            Instance(
                name=name,
                kind=each.kind,
                url=root_of(each.base_url),
                key=each.api_key,
                price=None if each.price is None else Price(per_minute=each.price),
                timeout_s=each.timeout_s,
                slots=each.slots,
                models=None if each.models is None else frozenset(each.models),
                capabilities=each.capabilities or None,
                context_length=each.context_length,
            )
        )
    return found
