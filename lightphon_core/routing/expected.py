"""What an answer is expected to need and to cost, before anybody has begun it."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import astuple

from lightphon_core.types import Needs, Price

PROMPT_FACTOR = 4
"""Tokens that a prompt really has for each one of `Needs.prompt_tokens`, which is estimated from below at 16 bytes a
token; most text has about four."""
USUAL_ANSWER = 400
"""Tokens of an answer that is not cut short."""
USUAL_SPEED = 20.0
"""Tokens a second of an offer that was not measured yet."""
USUAL_TTFT_S = 1.0
"""Seconds to the first output, likewise."""
ORDINARY = Needs("/v1/chat/completions", None, frozenset(), prompt_tokens=250)
"""What prices and groups of offers are compared by where no request is at hand: 1,000 tokens of prompt, and a usual
answer."""
LEAST_SPEED = 0.1
"""Tokens a second that no offer is taken to be slower than, so that one bad measurement does not set a price."""


def prompt_tokens(needs: Needs) -> int:
    """Tokens of the prompt."""
    return needs.prompt_tokens * PROMPT_FACTOR


def completion_tokens(needs: Needs) -> int:
    """Tokens of one choice of the answer."""
    return USUAL_ANSWER if needs.max_output_tokens is None else min(USUAL_ANSWER, needs.max_output_tokens)


def expected_msat(price: Price, needs: Needs, ttft_s: float | None, tokens_per_s: float | None) -> int:
    """What the answer will cost at this price, in msat, of an offer with these measurements (None: not measured).

    seconds = ttft_s + completion_tokens / tokens_per_s
    msat    = per_request + prompt_tokens * per_mtok_prompt / 1e6 + completion_tokens * per_mtok_completion / 1e6
              + seconds * per_minute / 60, rounded up, and at least 1
    """
    if price.is_free:
        return 0
    tokens = completion_tokens(needs)
    ms = 0
    if price.per_minute:
        speed = USUAL_SPEED if tokens_per_s is None else max(LEAST_SPEED, tokens_per_s)
        ms = round(1000 * ((USUAL_TTFT_S if ttft_s is None else ttft_s) + tokens / speed))
    # At least one: the estimate of a short prompt is of no tokens, and the answer is charged for those it has.
    return max(1, price.cost(prompt_tokens=prompt_tokens(needs), completion_tokens=tokens * needs.choices, ms=ms))


def cheapest(prices: Iterable[Price]) -> Price | None:
    """The one by which `ORDINARY` is expected to cost least, of an offer that was not measured; None where there are
    none. Of equals it is the one that asks less for a minute, then for the prompt, and so on, so that it is always the
    same one."""
    different = set(prices)
    if len(different) < 2:
        return next(iter(different), None)
    return min(different, key=_for_an_ordinary_answer)


def _for_an_ordinary_answer(price: Price) -> tuple[int, ...]:
    return expected_msat(price, ORDINARY, None, None), *astuple(price)
