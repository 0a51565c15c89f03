"""Control messages: JSON objects with a `type`, sent as WebSocket text.

Hub to node: welcome, account, cancel, ping, pong. Node to hub: hello, hardware, offers, load, done, failed, drain,
ping, pong. What is said of machines is in `hardware`, of accounts and prices in `account`.
Jobs and their output are binary: see `frames`. How a message becomes text and back: see `codec`.

Every field is checked when a message is made, on both ends, and not later.
"""

from typing import Any, Literal, get_args

from attrs import Attribute, field, frozen

from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.account import Account, PriceMessage
from lightphon_backend_gguf.protocol.fields import (
    FieldError,
    a_job,
    a_name,
    an_id,
    is_token,
    is_word,
    many,
    maybe_sha256,
    maybe_token,
    maybe_word,
    number,
    rule,
    whole,
)
from lightphon_backend_gguf.protocol.hardware import Hardware, Machine

SUBPROTOCOL = "lightphon.node.v1"

PATHS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})
"""The paths a job may ask for. A node refuses any other."""

FailureKind = Literal["refused", "overloaded", "unavailable", "timed_out"]
"""Why a job failed: the request is wrong; no room; broken or gone; too slow."""


@frozen
class ModelFacts:
    """What a node says of a model it offers.

    `capabilities` are words such as "chat" and "tools"; the hub drops those that it does not know. `context_length` is
    in tokens, for one request. `maker` is a word such as "qwen", `params_b` in thousand millions of parameters.
    `architecture` is llama.cpp's word for it ("llama", "qwen3moe"). `file_bytes` and `sha256` are of the model's file;
    the latter takes a while, so offers go out without it first.
    """

    id: str = field(validator=an_id)
    capabilities: tuple[str, ...] = field(validator=many(32, is_word, "words"))
    context_length: int | None = field(default=None, validator=whole(1, 2**31, optional=True))
    maker: str | None = field(default=None, validator=maybe_word)
    params_b: float | None = field(default=None, validator=number(0, 1e6, optional=True))
    quantization: str | None = field(default=None, validator=maybe_word)
    architecture: str | None = field(default=None, validator=maybe_word)
    file_bytes: int | None = field(default=None, validator=whole(0, limits.BYTES, optional=True))
    sha256: str | None = field(default=None, validator=maybe_sha256)


@frozen
class OfferMessage:
    """One running model of a node. `id` is unique in one connection; `slots` is how many jobs run at once. Without a
    `price` the server's own applies. `engine` is what runs it, such as "llama.cpp"."""

    id: str = field(validator=an_id)
    model: ModelFacts = field(validator=rule("a model", lambda v: isinstance(v, ModelFacts)))
    slots: int = field(validator=whole(1, limits.SLOTS))
    price: PriceMessage | None = field(
        default=None, validator=rule("a price", lambda v: isinstance(v, PriceMessage), optional=True)
    )
    engine: str | None = field(default=None, validator=maybe_word)


@frozen
class OfferLoad:
    """How busy an offer is, by the node's own count: jobs running, and jobs that wait for a slot.

    `decode_tps` and `prompt_tps` are tokens per second of one answer, and of reading a prompt, as measured lately.
    """

    offer: str = field(validator=an_id)
    busy: int = field(validator=whole(0, 2**31))
    queued: int = field(default=0, validator=whole(0, 2**31))
    decode_tps: float | None = field(default=None, validator=number(0, limits.TOKENS_PER_S, optional=True))
    prompt_tps: float | None = field(default=None, validator=number(0, limits.TOKENS_PER_S, optional=True))


@frozen
class Hello:
    """First message of a node. `name` is the operator's, shown to clients; `software` is program and version."""

    name: str = field(validator=a_name)
    software: str = field(validator=a_name)


@frozen
class Welcome:
    """The hub's answer to hello. The node sends its load at least every `heartbeat_s` seconds. `notice` is a line for
    the node's operator, such as that the node should be updated."""

    node_id: str = field(validator=a_name)
    heartbeat_s: float = field(validator=number(0.01, 3600))
    notice: str | None = field(
        default=None,
        validator=rule(
            "at most 300 printable characters",
            lambda v: isinstance(v, str) and len(v) <= 300 and v.isprintable(),
            optional=True,
        ),
    )


def _distinct_offers(_: Any, __: "Attribute[Any]", value: tuple[OfferMessage, ...]) -> None:
    if len({offer.id for offer in value}) != len(value):
        raise FieldError("offers must have distinct ids")


@frozen
class Offers:
    """Everything the node serves from now on; replaces what it said before. `paused` says why there is nothing: its
    operator lets it take no jobs. Older nodes do not say it."""

    offers: tuple[OfferMessage, ...] = field(
        validator=[many(limits.OFFERS, lambda v: isinstance(v, OfferMessage), "offers"), _distinct_offers]
    )
    paused: bool = field(default=False, validator=rule("true or false", lambda v: type(v) is bool))


@frozen
class Load:
    """The node's load, and its heartbeat."""

    offers: tuple[OfferLoad, ...] = field(
        default=(), validator=many(limits.OFFERS, lambda v: isinstance(v, OfferLoad), "loads")
    )
    machine: Machine | None = field(
        default=None, validator=rule("a machine", lambda v: isinstance(v, Machine), optional=True)
    )


@frozen
class Done:
    """A job is over: all its output was sent, or it was cancelled."""

    job: int = field(validator=a_job)


@frozen
class Failed:
    """A job is over, and failed. `message` may reach the client; it is one printable line.

    `param` and `code` belong to "refused", `retry_after` (seconds) to "overloaded".
    """

    job: int = field(validator=a_job)
    kind: FailureKind = field(validator=rule("a known kind", lambda v: v in get_args(FailureKind)))
    message: str = field(
        validator=rule(
            "at most 1000 printable characters", lambda v: isinstance(v, str) and len(v) <= 1000 and v.isprintable()
        )
    )
    param: str | None = field(default=None, validator=maybe_token)
    code: str | None = field(default=None, validator=maybe_token)
    retry_after: float | None = field(default=None, validator=number(0, 86400, optional=True))


@frozen
class Cancel:
    """The hub no longer wants this job. The node stops it at once and says done (or failed, if that came first)."""

    job: int = field(validator=a_job)


@frozen
class Drain:
    """The node takes no new jobs and will leave when the running ones are over."""


@frozen
class Ping:
    """Asks for a pong."""


@frozen
class Pong:
    """Answers a ping."""


Message = Hello | Hardware | Welcome | Account | Offers | Load | Done | Failed | Cancel | Drain | Ping | Pong


class JobFailed(Exception):
    """Raised on a node where a job cannot be served; becomes a `Failed` message.

    `message` may be an engine's own text: what is not printable in it is replaced, and it is cut to 1000 characters.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(kind)  # the text stays out of tracebacks: an engine may quote the prompt in it
        self.kind: FailureKind = kind
        self.message = message
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def to_message(self, job: int) -> Failed:
        """What to tell the hub. A param, code or wait that the protocol does not admit is left out."""
        text = "".join(c if c.isprintable() else " " for c in self.message[:1000])
        wait = self.retry_after
        return Failed(
            job=job,
            kind=self.kind,
            message=text,
            param=self.param if self.param and is_token(self.param) else None,
            code=self.code if self.code and is_token(self.code) else None,
            retry_after=wait if wait is not None and 0 <= wait <= 86400 else None,
        )
