"""How a journey ended, for whoever counts."""

from __future__ import annotations

from attrs import field, frozen

from lightphon_core.types import Usage


@frozen
class Outcome:
    """One journey in numbers: nothing of what was asked or answered, and nobody's name.

    `word` is "ok", the name of an error's class, or says who gave up. `model` is None where no offer began to answer;
    `ttft_s` then too. Both times begin when the request had been read. `tokens_per_s` is the speed after the first
    output, None where too little came to tell.
    """

    word: str
    seconds: float
    model: str | None = None
    ttft_s: float | None = None
    usage: Usage = field(factory=Usage)
    cost_msat: int = 0
    tokens_per_s: float | None = None


def ignore(outcome: Outcome) -> None:
    """For applications that count nothing."""
