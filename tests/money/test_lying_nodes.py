"""What a node gains by lying: at most a factor of two. The measured gains are printed (`pytest -s`)."""

import json
from collections.abc import AsyncGenerator

import httpx
import pytest

from lightphon_core import Job, Price
from lightphon_core.openai.chunks import Chunk
from lightphon_core.openai.facts import Prompt
from lightphon_core.serving.meter import Bounds, Meter, most_prompt_tokens
from lightphon_core.testing.scripted import chunk, event, usage
from lightphon_core.types import Usage

TEXT = "The quick brown fox jumps over the lazy dog, and then it rests for a while in the warm afternoon sun. " * 4
HONEST_TOKENS = len(TEXT) // 4
"""A tokenizer of today takes about four bytes of English for a token."""
PROMPT = TEXT * 3
HONEST_PROMPT = len(PROMPT) // 4 + 30
PRICE = Price(per_mtok_prompt=10**8, per_mtok_completion=10**9)


def reply(pieces: list[str], claimed_prompt: int, claimed: int | None):
    async def serve(job: Job) -> AsyncGenerator[bytes, None]:
        for piece in pieces:
            yield chunk({"content": piece})
        yield chunk(finish="stop")
        if claimed is not None:
            yield usage(claimed_prompt, claimed)
        yield event("[DONE]")

    return serve


FOURS = [TEXT[at : at + 4] for at in range(0, len(TEXT), 4)]
LIES = {
    "ten times the tokens": (FOURS, HONEST_PROMPT, 10 * HONEST_TOKENS),
    "one byte a frame": (list(TEXT), HONEST_PROMPT, len(TEXT)),
    "one byte a frame, and no usage": (list(TEXT), 0, None),
    "an inflated prompt": (FOURS, 100 * HONEST_PROMPT, HONEST_TOKENS),
    "everything": (list(TEXT), 10**9, 10**9),
}


def billed(running) -> int:
    body = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}]}
    headers = {"authorization": f"Bearer {running.api_key}"}
    answer = httpx.post(running.url + "/v1/chat/completions", json=body, headers=headers)
    return int(answer.json()["usage"]["cost_msat"])


@pytest.mark.parametrize(("pieces", "prompt", "claimed"), LIES.values(), ids=LIES.keys())
def test_lies_about_tokens(start_priced, pieces, prompt, claimed):
    backend, running, books = start_priced(reply(FOURS, HONEST_PROMPT, HONEST_TOKENS), PRICE, funds=10**9)
    honest = billed(running)
    assert honest == PRICE.cost(prompt_tokens=HONEST_PROMPT, completion_tokens=HONEST_TOKENS, ms=0)
    backend.reply = reply(pieces, prompt, claimed)
    gain = billed(running) / honest
    print(f"gain: {gain:.2f}")
    assert gain <= 2
    assert books.problems() == []


def test_a_claim_below_what_was_seen_is_taken_at_its_word(start_priced):
    _, running, _ = start_priced(reply(FOURS, 1, 2), PRICE, funds=10**9)
    assert billed(running) == PRICE.cost(prompt_tokens=1, completion_tokens=2, ms=0)


@pytest.mark.parametrize("known", [None, 40.0], ids=["a new node", "a node that was measured"])
def test_lies_about_time(known):
    """One token every ten seconds, under a price for the minute."""
    price = Price(per_minute=60_000)
    ttft, speed = (1.0, 10.0) if known is None else (0.5, known)
    bounds = Bounds(
        prompt_tokens=50, aborted_prompt=0, completion_tokens=1000, tokens_per_s=known, ttft_s=known and ttft
    )

    def bill(first: float, seconds_a_token: float) -> int:
        meter = Meter(bounds, began=0.0)
        for number in range(100):
            meter.see(piece(), now=first + number * seconds_a_token)
        meter.see(piece(claimed=Usage(50, 100)), now=first + 99 * seconds_a_token)
        return price.cost(prompt_tokens=0, completion_tokens=0, ms=meter.measured().ms)

    honest, slow = bill(ttft, 1 / speed), bill(10.0, 10.0)
    gain = slow / honest
    print(f"gain: {gain:.2f}")
    assert 1 < gain <= 2.02
    assert bill(ttft, 0.1 / speed) < honest


def test_minutes_stop_while_a_node_says_nothing():
    meter = Meter(Bounds(50, 0, 1000, tokens_per_s=0.001, ttft_s=1e6), began=0.0)
    meter.see(piece(), now=100.0)
    meter.see(piece(), now=101.0)
    meter.see(piece(), now=10_000.0)
    assert meter.measured().ms == 11_000


def test_short_prompts_have_room_for_a_template():
    assert most_prompt_tokens(Prompt(6, 0, 1, 0)) >= 40
    long = most_prompt_tokens(Prompt(40_000, 0, 10, 0))
    assert long <= 2 * 10_000


def piece(*, claimed: Usage | None = None) -> Chunk:
    choices = [{"index": 0, "delta": {"content": " word"}}]
    has_output = claimed is None
    return Chunk(choices, json.dumps(choices).encode(), has_output, 5 if has_output else 0, {}, claimed)
