"""What answers cost, and who says so."""

from enum import StrEnum

from attrs import Attribute, field, frozen

from lightphon_core.money import MAX_MSAT, msat

_MS_PER_MINUTE = 60_000
_TOKENS = 1_000_000
_SCALE = _MS_PER_MINUTE * _TOKENS
"""Common denominator of msat per minute and msat per million tokens."""


def _amount(_: object, __: "Attribute[int]", value: object) -> None:
    msat(value)


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

    def cost(self, *, prompt_tokens: int, completion_tokens: int, ms: int) -> int:
        """What an answer comes to, in msat: one rounding, up, over the total; at most `MAX_MSAT`."""
        return min(self.per_request + -(-self._scaled(prompt_tokens, completion_tokens, ms) // _SCALE), MAX_MSAT)

    def affordable_tokens(self, funds: int, *, prompt_tokens: int, ms: int = 0) -> int | None:
        """How many completion tokens `funds` pay for besides the rest of the answer; None for any number.

        Negative where not even the rest is covered.
        """
        left = (funds - self.per_request) * _SCALE - self._scaled(prompt_tokens, 0, ms)
        if left < 0:
            return -1
        if not self.per_mtok_completion:
            return None
        return left // (self.per_mtok_completion * _MS_PER_MINUTE)

    def _scaled(self, prompt_tokens: int, completion_tokens: int, ms: int) -> int:
        tokens = prompt_tokens * self.per_mtok_prompt + completion_tokens * self.per_mtok_completion
        return tokens * _MS_PER_MINUTE + ms * self.per_minute * _TOKENS


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
