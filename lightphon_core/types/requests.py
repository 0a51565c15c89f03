"""What is asked for: what a request needs and prefers, what the gateway knows of an offer, and the job that is sent."""

from enum import StrEnum
from typing import Any

from attrs import Attribute, evolve, field, fields, frozen

from lightphon_core.types.offers import Capability, Load
from lightphon_core.types.prices import Price


class Size(StrEnum):
    """How large a model somebody would like it to be, all else being equal."""

    SMALL = "small"
    BALANCED = "balanced"
    LARGE = "large"


class Sort(StrEnum):
    """By what candidates are ranked: by all scorers, as the operator weighs them, or above all by one thing.

    Prices are those expected for the whole answer; throughput is tokens a second, latency the time to the first one.
    """

    BEST = "best"
    PRICE = "price"
    THROUGHPUT = "throughput"
    LATENCY = "latency"


class Focus(StrEnum):
    """The word after `auto:`. FREE leaves out what costs anything; the others are preferences."""

    FAST = "fast"
    CHEAP = "cheap"
    CODE = "code"
    REASONING = "reasoning"
    FREE = "free"


def _stated(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value == frozenset():
        raise ValueError(f"'{attribute.name}' is None where nothing is asked for, never empty")


@frozen
class Filters:
    """What a client asks of the offers for its request; None where it says nothing. Names are in lower case, but for
    ids.

    `providers` are makers of models ("qwen"). `models` and `exclude` are ids of models; `exclude` may name nodes and
    makers as well. `max_price_msat` is the most that the whole answer is expected to cost. `limit` is how many
    candidates there may be.
    """

    providers: frozenset[str] | None = field(default=None, validator=_stated)
    models: frozenset[str] | None = field(default=None, validator=_stated)
    owned_by: frozenset[str] | None = field(default=None, validator=_stated)
    exclude: frozenset[str] | None = field(default=None, validator=_stated)
    capabilities: frozenset[Capability] | None = field(default=None, validator=_stated)
    quantizations: frozenset[str] | None = field(default=None, validator=_stated)
    min_params_b: float | None = None
    max_params_b: float | None = None
    min_context: int | None = None
    max_price_msat: int | None = None
    prefer_size: Size | None = None
    sort: Sort | None = None
    limit: int | None = None

    def over(self, others: "Filters") -> "Filters":
        """These, and where they say nothing what the others say."""
        said = {each.name: value for each in fields(Filters) if (value := getattr(self, each.name)) is not None}
        return evolve(others, **said)


@frozen
class Needs:
    """What a request asks of whoever serves it; all that filters and scorers may look at.

    `model` is a model id, or None for `auto`; `focus` is what `auto` is asked to look for. `fallbacks` are tried in
    their order where nothing that serves `model` is left; None among them stands for `auto`. `prompt_tokens` is an
    estimate from below (see `openai/request.py`); `context_tokens` those of its longest text, where each has a context
    of its own, and None where all share one; `choices` is how many the answer shall have (`n`). `session` is the
    same for requests that go on from one another, and tells nothing of what they say; None where nobody knows.
    `via` are the kinds of gateway that the request came through: it goes to none of these again.
    """

    path: str
    model: str | None
    capabilities: frozenset[Capability]
    prompt_tokens: int = 0
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    choices: int = 1
    fallbacks: tuple[str | None, ...] = ()
    focus: Focus | None = None
    filters: Filters = field(factory=Filters)
    session: str | None = field(default=None, repr=False)
    via: frozenset[str] = frozenset()

    @property
    def least_context(self) -> int:
        """Tokens that a context must have room for, besides the answer."""
        return self.prompt_tokens if self.context_tokens is None else self.context_tokens


@frozen
class Stats:
    """What the gateway itself knows of an offer, now and for this request. None: nothing measured yet.

    `ttft_s`: seconds to the first output; `tokens_per_s`: speed of one answer; `failures`: decayed count of failures;
    `answers`: how many ended well since the offer came. `price` is the one in force, `expected_msat` what this answer
    is expected to cost. `holds_session`: whether it answered the request's session last; None where there is none.
    """

    load: Load = field(factory=Load)
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    failures: float = 0.0
    answers: int = 0
    price: Price = field(factory=Price)
    expected_msat: int = 0
    holds_session: bool | None = None


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
