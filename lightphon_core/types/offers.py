"""What is on offer: models, the nodes that serve them, what they cost, and how busy they are."""

import re
from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from lightphon_core.types.prices import Price

GATEWAY_WORD = "a word of up to 32 letters, digits, - and _"

_GATEWAY = re.compile(r"[A-Za-z0-9_-]{1,32}")

Facts = Mapping[str, str | int | float]
"""What a backend tells beyond what the core acts on, by name: shown to the owner in /api/nodes and to administrators,
and used by nothing."""


def is_gateway(word: str) -> bool:
    """Whether a kind of gateway may be called so, in any case: by `GATEWAY_WORD`."""
    return _GATEWAY.fullmatch(word) is not None


class Capability(StrEnum):
    """What a model, as it is offered, can do. A request that needs one only goes to offers that have it.

    CHOICES is several choices in one answer (`n` above 1): as many as the offer has slots, since each takes one.
    """

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    TOOLS = "tools"
    VISION = "vision"
    JSON = "json"
    REASONING = "reasoning"
    CODE = "code"
    INFILL = "infill"
    LOGPROBS = "logprobs"
    CHOICES = "choices"


@frozen
class Model:
    """A model as one backend offers it. Equal ids on several nodes are one model to clients.

    `context_length` is in tokens, prompt and answer together, that one request may use; None where nobody knows.
    `params_b` is in thousand millions of parameters. `maker` is a lower-case word such as "qwen" or "meta".
    """

    id: str
    capabilities: frozenset[Capability] = frozenset({Capability.CHAT})
    context_length: int | None = None
    maker: str | None = None
    params_b: float | None = None
    quantization: str | None = None
    owned_by: str | None = None

    @property
    def owner(self) -> str:
        """OpenAI's `owned_by`: who offers it, or else who made it."""
        return self.owned_by or self.maker or "lightphon"


@frozen
class ListedModel:
    """A model as clients see it: one id, merged over the nodes that have it.

    `created` is when it was first offered since the server started, in seconds since 1970.
    """

    model: Model
    nodes_online: int
    created: int


@frozen
class Node:
    """Who serves: a GPU box, or a server reached over HTTP. `owner` is the id of the account that earns, None for the
    house; where there is no such account (any more), nothing that costs is asked of it.

    `name` is what clients see in `routing_info`; it is safe in a header (printable ASCII). `facts` are of the machine.
    `gateway` is what kind of gateway answers there that may ask us in turn: a word in lower case such as "openclaw", as
    in `Principal.used_by`, and one of the `gateways` that the plugin's class names. None: it answers by itself.
    """

    id: str
    name: str
    owner: str | None = None
    facts: Facts = field(factory=dict, hash=False)
    gateway: str | None = None


class NodeState(StrEnum):
    """What a node is doing. ONLINE: it takes jobs, and the others offer nothing. PAUSED: its operator or its schedule
    wants it so. DRAINING: it finishes its jobs, and leaves. STARTING: none of its models is ready, yet or just now."""

    ONLINE = "online"
    PAUSED = "paused"
    DRAINING = "draining"
    STARTING = "starting"


@frozen
class ConnectedNode:
    """A node that is there, whether it offers anything or not. `credential` is the id of the one that it came with, as
    `Principal.credential_id` has it; None where it came with none of ours."""

    node: Node
    state: NodeState = NodeState.ONLINE
    credential: str | None = None


@frozen
class Earnings:
    """What an account has earned with its nodes, in msat: since midnight UTC, and ever. `pending` of it may not be used
    yet."""

    today: int
    total: int
    pending: int


@frozen
class Offer:
    """One model on one node. `id` is unique within its backend and stays the same for as long as the offer stands.

    `slots` is how many requests the node runs at once. `price` is what the node asks; None leaves it to its owner's
    account and the gateway's settings. `facts` are of the model's file and of what runs it.
    """

    id: str
    model: Model
    node: Node
    slots: int = 1
    price: Price | None = None
    facts: Facts = field(factory=dict, hash=False)


OfferKey = tuple[str, str]
"""An offer, anywhere in the application: the name of its backend, and its id there."""


@frozen
class Load:
    """How busy an offer is now: `busy` of its slots are taken, and `queued` requests wait for one. `facts` are what
    its node measures."""

    busy: int = 0
    queued: int = 0
    facts: Facts = field(factory=dict, hash=False)
