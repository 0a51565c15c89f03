"""No name for an output limit, or for more work, gets past the one that counts: each against the real engine, which
would say "word00 word01 ..." for ever."""

import json

import httpx
import pytest

from lightphon_core.openai.fields import COST, ENGINE_OUTPUT_LIMITS, OUTPUT_LIMITS

LIMIT = 8
ALIASES = sorted((OUTPUT_LIMITS | ENGINE_OUTPUT_LIMITS | COST) - {"max_tokens"})


def ask(system, body: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {system.api_key}", "content-type": "application/json"}
    return httpx.post(f"{system.url}/v1/chat/completions", content=body, headers=headers, timeout=30)


def body_with(**fields: object) -> str:
    body = {"model": "endless", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}
    return json.dumps({**body, **fields})


def words(reply: httpx.Response) -> int:
    """How many tokens were really said: each is one word. There must be one choice."""
    assert reply.status_code == 200, reply.text
    (choice,) = reply.json()["choices"]
    assert choice["finish_reason"] == "length"
    return len(choice["message"]["content"].split())


def test_an_alias_alone_is_a_limit(system):
    for alias in sorted((OUTPUT_LIMITS | ENGINE_OUTPUT_LIMITS) - {"max_tokens"}):
        assert words(ask(system, body_with(**{alias: LIMIT}))) == LIMIT, alias


@pytest.mark.parametrize("alias", [*ALIASES, "N_Predict", "speculative.n_max"])
def test_no_alias_lifts_the_limit(system, alias):
    for value in (200,) if alias in OUTPUT_LIMITS else (200, -1):
        assert words(ask(system, body_with(max_tokens=LIMIT, **{alias: value}))) <= LIMIT
        assert words(ask(system, body_with(**{alias: value}, max_tokens=LIMIT))) <= LIMIT


def test_the_smallest_limit_counts(system):
    assert words(ask(system, body_with(max_tokens=200, max_completion_tokens=LIMIT, n_predict=-1))) == LIMIT


@pytest.mark.parametrize("name", ["max_tokens", "n", "messages", "n_predict"])
def test_a_key_that_comes_twice_is_refused(system, name):
    twice = body_with(max_tokens=LIMIT)[:-1] + f', "{name}": 8, "{name}": 200}}'
    reply = ask(system, twice)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, name)


def test_without_a_limit_the_gateways_own_counts(run_system):
    with run_system(limits={"max_output_tokens": LIMIT}) as system:
        system.start_node("endless")
        for body in (body_with(), body_with(max_tokens=200), body_with(max_tokens=None, n_predict=-1)):
            assert words(ask(system, body)) == LIMIT
