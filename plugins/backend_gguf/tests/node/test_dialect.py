"""The node's own guard: what of a request reaches an engine."""

import json
from typing import Any

import pytest
from lightphon_backend_gguf.node.dialect import GENERAL, LLAMA_CPP, Dialect, Feature
from lightphon_backend_gguf.node.engines.base import offered
from lightphon_backend_gguf.protocol.messages import JobFailed

PLAIN = Dialect(frozenset({Feature.CHAT}), frozenset({"messages", "temperature"}))
SEEING = Dialect(frozenset(Feature), LLAMA_CPP)
PICTURE = "data:image/png;base64,AAAA"


def prepared(dialect: Dialect, **fields: Any) -> Any:
    return json.loads(dialect.prepare(json.dumps(fields).encode(), "its own name"))


def with_image(url: object) -> list[Any]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]


def test_what_is_not_listed_or_null_is_dropped_and_the_model_is_the_engines() -> None:
    got = prepared(PLAIN, model="the gateway's", temperature=1, n_predict=9, Temperature=2, messages=None, tools=[])
    assert got == {"model": "its own name", "temperature": 1}


def test_repeated_members_are_one() -> None:
    assert PLAIN.prepare(b'{"temperature": 0, "temperature": 1}', "m") == b'{"temperature":1,"model":"m"}'


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"temperature": NaN}', b"[" * 100_000, b'{"a": 1'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(JobFailed) as caught:
        PLAIN.prepare(body, "m")
    assert caught.value.kind == "refused"


def test_messages_lose_nulls_and_the_developer() -> None:
    messages = [
        {"role": "developer", "content": "Be brief.", "name": None},
        {"role": "assistant", "content": None, "tool_calls": [], "refusal": None},
    ]
    assert prepared(PLAIN, messages=messages)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{}]}, "tools"),
        ({"functions": [{}]}, "functions"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": 5}, "response_format"),
        ({"grammar": "root ::= x"}, "grammar"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 0}, "logprobs"),
        ({"n": 2}, "n"),
        ({"messages": ["Hi"]}, "messages"),
        ({"messages": with_image(PICTURE)}, "messages"),
    ],
)
def test_what_the_engine_lacks_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(JobFailed) as caught:
        prepared(PLAIN, **fields)
    assert (caught.value.kind, caught.value.param) == ("refused", param)


def test_asking_for_nothing_special_is_no_offence() -> None:
    prepared(PLAIN, n=1, logprobs=False, response_format={"type": "text"}, tools=[])


@pytest.mark.parametrize("url", [PICTURE, {"url": PICTURE, "detail": "low"}])
def test_an_image_may_be_data(url: object) -> None:
    assert prepared(SEEING, messages=with_image(url))["messages"] == with_image(url)


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/x.png", {"url": "http://10.0.0.1/x.png"}, "file:///etc/passwd", "DATA:text/html,x", None, {}, 5],
)
def test_an_image_is_never_an_address(url: object) -> None:
    with pytest.raises(JobFailed, match="refused"):
        prepared(SEEING, messages=with_image(url))


def test_an_offer_has_what_model_and_engine_both_have() -> None:
    assert offered(["chat", "tools", "reasoning", "code"], frozenset({Feature.CHAT, Feature.JSON})) == (
        "chat",
        "code",
        "reasoning",
    )


def test_nothing_that_costs_or_reaches_into_an_engine_is_on_a_list() -> None:
    never = {"model", "n_predict", "best_of", "id_slot", "cache_prompt", "lora", "options", "keep_alive", "user"}
    assert not never & (LLAMA_CPP | GENERAL.parameters)
