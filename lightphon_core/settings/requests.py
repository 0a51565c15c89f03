"""What the operator can set about requests: what they may take, and which offer is best for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import ge, gt, optional


@frozen
class LimitSettings:
    """`[limits]`: what one request may take, and what one account may ask for; its keys may have narrower ones."""

    requests_per_minute: int | None = field(
        default=None,
        validator=optional(gt(0)),
        metadata={"help": "Requests a minute for one account; no limit unless told.", "example": 60},
    )
    tokens_per_minute: int | None = field(
        default=None,
        validator=optional(gt(0)),
        metadata={
            "help": "Tokens a minute for one account, prompts and answers; no limit unless told.",
            "example": 100_000,
        },
    )
    concurrent_requests: int | None = field(
        default=None,
        validator=optional(gt(0)),
        metadata={"help": "Requests under way at once for one account; no limit unless told.", "example": 8},
    )
    max_output_tokens: int = field(
        default=4096,
        validator=gt(0),
        metadata={"help": "Most tokens an answer may have, whatever the request asks for."},
    )
    first_output_timeout_s: float = field(
        default=120.0, validator=gt(0), metadata={"help": "Seconds an attempt may take until its first output."}
    )
    silence_timeout_s: float = field(
        default=120.0,
        validator=gt(0),
        metadata={"help": "Seconds that an answer which has begun may wait for more of it."},
    )
    total_timeout_s: float = field(
        default=600.0, validator=gt(0), metadata={"help": "Seconds the whole answer may take, all attempts together."}
    )
    attempts: int = field(default=3, validator=gt(0), metadata={"help": "How many offers are tried for one request."})
    queue_s: float = field(
        default=10.0,
        validator=ge(0),
        metadata={"help": "Seconds a request may wait for a slot while all nodes that could serve it are busy."},
    )
    queue_length: int = field(
        default=256, validator=ge(0), metadata={"help": "Requests that may wait for a slot at one time."}
    )
    queue_per_account: int = field(
        default=32, validator=ge(0), metadata={"help": "How many of them may be of one account; accounts take turns."}
    )
    keep_alive_s: float = field(
        default=15.0, validator=gt(0), metadata={"help": "Seconds of silence after which a stream gets a comment line."}
    )
    max_unread_bytes: int = field(
        default=1_048_576,
        validator=gt(0),
        metadata={"help": "Bytes that may wait for a slow client; beyond that its request is cancelled."},
    )


def _not_negative(_: object, attribute: Attribute[Any], weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if weight < 0:
            raise ValueError(f"'{attribute.name}' must not be negative: {name} is {weight}")


@frozen
class RoutingSettings:
    """`[routing]`: which offer is best."""

    weights: Mapping[str, float] = field(
        factory=dict,
        validator=_not_negative,
        metadata={
            "help": "Weight of each scorer, by its name; 0 turns one off. Unless told, availability counts 2, affinity "
            "3 and any other 1; see docs/routing.md.",
            "example": {"price": 2, "speed": 0.5},
        },
    )
    not_in_auto: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Backends and nodes, by name, that `auto` leaves out: their models are to be named.",
            "example": ("openclaw",),
        },
    )
