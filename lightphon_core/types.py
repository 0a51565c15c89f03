"""The types every layer speaks: frozen, serialisable, free of live objects and of I/O."""

from collections.abc import Mapping
from enum import StrEnum

from attrs import Attribute, field, frozen

from lightphon_core.money import msat

Facts = Mapping[str, str | int | float]
"""What a backend tells beyond what the core acts on, by name: shown to the owner in /api/nodes, and used by nothing."""


def _amount(_: object, __: "Attribute[int]", value: object) -> None:
    msat(value)


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


class Scope(StrEnum):
    """What a credential may be used for.

    INFERENCE also reads the wallet and opens deposits. ACCOUNT is to see one's own account, MANAGE to change what it
    has (keys, payouts): a session has the latter only while its password is recent. ADMIN is to see and change what is
    everybody's; only an administrator's credentials have it, and changing takes MANAGE too.
    """

    INFERENCE = "inference"
    NODE = "node"
    ACCOUNT = "account"
    MANAGE = "manage"
    ADMIN = "admin"


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
    """Who serves: a GPU box, or a server reached over HTTP. `owner` is the account that earns, None for the house.

    `name` is what clients see in `routing_info`; it is safe in a header (printable ASCII). `facts` are of the machine.
    """

    id: str
    name: str
    owner: str | None = None
    facts: Facts = field(factory=dict, hash=False)


@frozen
class Price:
    """What an answer costs, in millisatoshi: for a minute of inference, a million tokens of prompt, a million tokens of
    completion, and for the request as such. What is not charged is 0."""

    per_minute: int = field(default=0, validator=_amount)
    per_mtok_prompt: int = field(default=0, validator=_amount)
    per_mtok_completion: int = field(default=0, validator=_amount)
    per_request: int = field(default=0, validator=_amount)

    @property
    def is_free(self) -> bool:
        return not (self.per_minute or self.per_mtok_prompt or self.per_mtok_completion or self.per_request)


class PriceSource(StrEnum):
    """Who set the price of an offer: the operator of this gateway, the account that owns the node, the node itself, or
    nobody, so that the gateway's default holds."""

    OPERATOR = "operator"
    ACCOUNT = "account"
    NODE = "node"
    DEFAULT = "default"


@frozen
class PriceInForce:
    """What an offer costs now, and who said so."""

    price: Price
    source: PriceSource


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


@frozen
class Load:
    """How busy an offer is now: `busy` of its slots are taken, and `queued` requests wait for one. `facts` are what
    its node measures."""

    busy: int = 0
    queued: int = 0
    facts: Facts = field(factory=dict, hash=False)


@frozen
class Stats:
    """What the gateway itself has seen of an offer lately. None: nothing measured yet.

    `ttft_s`: seconds to the first output; `tokens_per_s`: speed of one answer; `failures`: decayed count of failures.
    """

    load: Load = Load()
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    failures: float = 0.0


@frozen
class Needs:
    """What a request asks of whoever serves it; all that filters and scorers may look at.

    `model` is a model id, or None for `auto`. `prompt_tokens` is an estimate from below (see `openai/request.py`).
    `choices` is how many the answer shall have (`n`).
    """

    path: str
    model: str | None
    capabilities: frozenset[Capability]
    prompt_tokens: int = 0
    max_output_tokens: int | None = None
    choices: int = 1


@frozen
class Job:
    """One attempt at one offer, ready to send.

    `id` is the gateway's, new for each attempt. `path` is OpenAI's path ("/v1/chat/completions"); `body` is the JSON to
    post to it, in which model, stream, stream_options and the output limit are already set. `timeout_s` is the time
    that is left for the whole answer.
    """

    id: str
    offer_id: str
    path: str
    body: bytes = field(repr=False)
    max_output_tokens: int
    timeout_s: float


@frozen
class Usage:
    """Tokens of one answer, as the gateway counts them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@frozen
class Credentials:
    """What a connection brought along to say who it is. Header names are lower-case. Never logged: repr hides it."""

    headers: Mapping[str, str] = field(factory=dict, repr=False)
    cookies: Mapping[str, str] = field(factory=dict, repr=False)
    path_token: str | None = field(default=None, repr=False)
    client: str | None = None

    @property
    def bearer(self) -> str | None:
        """The token of an `Authorization: Bearer` header, or None."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None


@frozen
class RateLimits:
    """How much may be asked for: in a minute, and at once. Tokens are those of prompts and answers. None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None


@frozen
class Standing:
    """How much is left of a limit a minute on `unit` ("requests", "tokens"): `remaining` of `limit` now, and all of it
    in `reset_s` seconds, if no more is asked for."""

    unit: str
    limit: int
    remaining: int
    reset_s: float


@frozen
class Principal:
    """Who a request acts for. `credential_id` is the key or token that was shown, not its secret.

    `models` are the ids of those it may use, None for all. `limits` are its own; its account's hold beside them.
    `expires_at` is when it ends, in microseconds since 1970, UTC; None: nobody has said.
    """

    account_id: str
    credential_id: str
    scopes: frozenset[Scope]
    models: frozenset[str] | None = None
    limits: RateLimits = RateLimits()
    expires_at: int | None = None
