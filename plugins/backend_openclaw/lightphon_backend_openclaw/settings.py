"""Settings of the plugin: the section `[plugins.openclaw]`, and the variables that OpenClaw's users know."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import Attribute, field, frozen, validators

from lightphon_backend_openclaw.addresses import problem_of
from lightphon_core import Amount, Capability, Secret

MAX_PRICE = Amount(10**12)
"""Msat a minute: as much as the core takes for a price."""

DEFAULT_NAME = "OpenClaw"
_MAX_NAME = 64


class Kind(StrEnum):
    """What answers at an address. OPENCLAW: an OpenClaw gateway, which may itself ask this server. HTTP: any other
    server that speaks OpenAI's API."""

    OPENCLAW = "openclaw"
    HTTP = "http"


def _address(_: object, attribute: "Attribute[Any]", value: str) -> None:
    if problem := problem_of(value):
        raise ValueError(f"'{attribute.name}' {problem}")


def _key(_: object, attribute: "Attribute[Any]", value: Secret | None) -> None:
    if value is not None and not all("!" <= character <= "~" for character in value.reveal()):
        raise ValueError(f"'{attribute.name}' has a space or another character that no key has")


def _name_problem(name: str) -> str | None:
    """What is wrong with the name of a node. Clients see it, in headers too."""
    if not 1 <= len(name) <= _MAX_NAME or name != name.strip() or not (name.isascii() and name.isprintable()):
        return f"must be a name of 1 to {_MAX_NAME} printable ASCII characters, without a space at either end"
    return None


def _name(_: object, attribute: "Attribute[Any]", value: str) -> None:
    if problem := _name_problem(value):
        raise ValueError(f"'{attribute.name}' {problem}")


_PRICE: Any = validators.optional(validators.le(MAX_PRICE))
_TIMEOUT: Any = [validators.gt(0), validators.le(86_400)]
_SLOTS: Any = [validators.ge(1), validators.le(10_000)]

_KEY_HELP = "Its API key; OpenClaw's is the token of its gateway."
_PRICE_HELP = "Sats for a minute of inference; 0 is free. Left out: the gateway's own default price."
_TIMEOUT_HELP = "Seconds that a whole answer may take."
_SLOTS_HELP = "Requests that it gets at once, over all of its models."
_MODELS_HELP = "The models to offer, by id. Left out: all that it lists."


@frozen
class InstanceSettings:
    """One server."""

    base_url: str = field(validator=_address, metadata={"help": "Its address, with or without /v1."})
    api_key: Secret | None = field(default=None, validator=_key, metadata={"help": _KEY_HELP})
    kind: Kind = field(
        default=Kind.OPENCLAW, metadata={"help": '"http" for any other server that speaks OpenAI\'s API.'}
    )
    price: Amount | None = field(default=None, validator=_PRICE, metadata={"help": _PRICE_HELP})
    timeout_s: float = field(default=120.0, validator=_TIMEOUT, metadata={"help": _TIMEOUT_HELP})
    slots: int = field(default=4, validator=_SLOTS, metadata={"help": _SLOTS_HELP})
    models: tuple[str, ...] | None = field(default=None, metadata={"help": _MODELS_HELP})
    capabilities: frozenset[Capability] | None = field(
        default=None,
        metadata={"help": "What its models can do. Left out: what it tells of them, and at least chat."},
    )
    context_length: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(1)),
        metadata={"help": "Tokens of context, of models that do not tell."},
    )


@frozen
class VariableSettings:
    """One OpenClaw, without a settings file."""

    enabled: bool = field(default=True, metadata={"help": "Whether it is used."})
    base_url: str = field(default="", metadata={"help": "Its address, with or without /v1."})
    api_key: Secret | None = field(default=None, validator=_key, metadata={"help": _KEY_HELP})
    node_name: str = field(default=DEFAULT_NAME, validator=_name, metadata={"help": "What clients know it by."})
    price: Amount | None = field(default=None, validator=_PRICE, metadata={"help": _PRICE_HELP})
    timeout: float = field(default=120.0, validator=_TIMEOUT, metadata={"help": _TIMEOUT_HELP})
    slots: int = field(default=4, validator=_SLOTS, metadata={"help": _SLOTS_HELP})
    models: tuple[str, ...] | None = field(default=None, metadata={"help": _MODELS_HELP})

    @base_url.validator
    def _given(self, attribute: "Attribute[Any]", value: str) -> None:
        if self.enabled and not value:
            raise ValueError("'base_url' is missing")
        if value:
            _address(self, attribute, value)


@frozen
class OpenClawSettings:
    """Which OpenClaw gateways, and which other OpenAI-compatible servers, are asked over HTTP."""

    openclaw: VariableSettings | None = field(default=None, metadata={"variables": "OPENCLAW"})
    refresh_s: float = field(
        default=60.0,
        validator=[validators.ge(1), validators.le(86_400)],
        metadata={"help": "Seconds between looks at what a server offers."},
    )
    instances: Mapping[str, InstanceSettings] = field(
        factory=dict,
        metadata={
            "help": "Servers, by the name that clients know each by.",
            "example": {"vllm": {"base_url": "http://127.0.0.1:8080", "kind": "http"}},
        },
    )

    @instances.validator
    def _named_once(self, _: object, instances: Mapping[str, InstanceSettings]) -> None:
        for name in instances:
            if problem := _name_problem(name):
                raise ValueError(f"'instances' has {name!r}, which {problem}")
        one = self.openclaw
        if one is not None and one.enabled and one.node_name in instances:
            raise ValueError(f"'instances' has {one.node_name!r}, and so has OPENCLAW_NODE_NAME: rename one of them")
