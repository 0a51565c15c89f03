"""What the gateway itself saw of an answer, and the bounds within which it believes a node.

What a node claims can only lower the bill. The rates below are the honest ones of ordinary text, times two less a
margin, so the most that a lying node gains is a factor of two; tests/money/test_lying_nodes.py states the gain in fact.
"""

from __future__ import annotations

import math

from attrs import define, frozen

from lightphon_core.openai.chunks import Chunk
from lightphon_core.openai.facts import Prompt
from lightphon_core.types import Usage

TOKENS_PER_BYTE = 0.45
"""Most completion tokens for each byte that was relayed. Ordinary text has about 0.25."""
SLACK = 2.0
"""Minutes count up to this many times what the speed known when the attempt began would have taken."""
UNKNOWN_SPEED = 10.0
"""Tokens a second that are taken for granted of an offer which was never measured."""
UNKNOWN_TTFT_S = 1.0
"""Likewise for the time to the first output."""
IDLE_S = 5.0
"""Minutes stop counting while a node sends nothing for longer than this."""


LEAST_S = 0.01
"""An answer that took less than this after its first output came in one piece, and says nothing of a speed."""

PROMPT_TOKENS_PER_BYTE = 0.45
PROMPT_TOKENS_PER_MESSAGE = 8
PROMPT_TOKENS_BESIDES = 48
"""What chat templates add: a system prompt of the model's own."""
TOKENS_PER_IMAGE = 2048
"""The node keeps the projectors that can make more of an image to this; what others make beyond it is not paid."""

ABORTED_BYTES_PER_TOKEN = 5
"""A prompt whose tokens nobody counted, because the client left, is charged by its bytes: less than it surely has."""


def most_prompt_tokens(prompt: Prompt) -> int:
    """The most prompt tokens that a node is believed."""
    text = math.ceil((prompt.text_bytes + prompt.tool_bytes) * PROMPT_TOKENS_PER_BYTE)
    return text + PROMPT_TOKENS_PER_MESSAGE * prompt.messages + PROMPT_TOKENS_BESIDES + TOKENS_PER_IMAGE * prompt.images


@frozen
class Bounds:
    """What is fixed before an attempt begins.

    `completion_tokens` and `prompt_tokens` are the most that can be counted, `aborted_prompt` what the prompt counts as
    where nobody counts it; speed and time to the first output are as they were known then.
    """

    prompt_tokens: int
    aborted_prompt: int
    completion_tokens: int
    tokens_per_s: float | None = None
    ttft_s: float | None = None


@frozen
class Measured:
    """What is billed: tokens, and milliseconds of inference."""

    usage: Usage
    ms: int


@define
class Meter:
    """Counts one attempt's answer. Times are a monotonic clock's seconds; `began` is when the job was sent."""

    bounds: Bounds
    began: float
    chunks: int = 0
    text_bytes: int = 0
    claimed: Usage | None = None
    _active_s: float = 0.0
    _seen_at: float | None = None

    def see(self, chunk: Chunk, now: float) -> None:
        """Count a chunk that came at `now`."""
        self._active_s += min(now - (self.began if self._seen_at is None else self._seen_at), IDLE_S)
        self._seen_at = now
        if chunk.has_output:
            self.chunks += 1
            self.text_bytes += chunk.text_bytes
        if chunk.usage is not None:
            self.claimed = chunk.usage

    def mark(self) -> tuple[int, int, Usage | None, float, float | None]:
        """The state now, for `restore`: what is not passed on must not be billed."""
        return self.chunks, self.text_bytes, self.claimed, self._active_s, self._seen_at

    def restore(self, mark: tuple[int, int, Usage | None, float, float | None]) -> None:
        """Forget what was seen since `mark`."""
        self.chunks, self.text_bytes, self.claimed, self._active_s, self._seen_at = mark

    def measured(self) -> Measured:
        """The bill so far. Until the node claims its usage, each chunk counts as a token, and the prompt as aborted."""
        bounds = self.bounds
        if self.claimed is None:
            prompt, completion = bounds.aborted_prompt, self.chunks
        else:
            prompt, completion = self.claimed.prompt_tokens, self.claimed.completion_tokens
        # One more than the bytes allow: engines count the token that ends an answer, which has no text.
        believed = math.ceil(self.text_bytes * TOKENS_PER_BYTE) + 1 if self.chunks else 1
        completion = min(completion, believed, bounds.completion_tokens)
        return Measured(Usage(min(prompt, bounds.prompt_tokens), completion), self._ms(completion))

    def tokens_per_s(self, ttft_s: float) -> float | None:
        """The speed of what came after the first output, which was there `ttft_s` after the job was sent; None where
        too little came to tell."""
        if self._seen_at is None:
            return None
        tokens, seconds = self.measured().usage.completion_tokens - 1, self._seen_at - self.began - ttft_s
        return tokens / seconds if tokens > 0 and seconds >= LEAST_S else None

    def _ms(self, completion: int) -> int:
        ttft = UNKNOWN_TTFT_S if self.bounds.ttft_s is None else self.bounds.ttft_s
        expected = ttft + completion / (self.bounds.tokens_per_s or UNKNOWN_SPEED)
        return round(1000 * min(self._active_s, SLACK * expected))
