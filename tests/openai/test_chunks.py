import json
from typing import Any

import pytest

from lightphon_core.openai import sse
from lightphon_core.openai.chunks import (
    BadChunk,
    Chunk,
    Done,
    Envelope,
    UpstreamError,
    read,
    usage_fields,
    write,
)
from lightphon_core.types import Usage

ENVELOPE = Envelope(id='chatcmpl-1"', model="a/b", created=1_800_000_000)
TOOLS = frozenset({"get_time"})


def checked(payload: bytes, **more: Any) -> Chunk:
    chunk = read(payload, **more)
    assert isinstance(chunk, Chunk)
    assert json.loads(chunk.encoded) == chunk.choices
    assert not set(chunk.encoded) & set(b"\r\n")
    return chunk


def payload(delta: Any, **choice: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None} | choice]}).encode()


def call(**function: Any) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}


def test_only_the_choices_pass() -> None:
    chunk = checked(
        b'{"id":"forged","object":"x","model":"forged","created":1,"system_fingerprint":"forged","timings":{"forged":1},'
        b'"routing_info":{"forged":1},"error":null,"usage":null,'
        b'"choices":[{"index":0,"delta":{"content":"h\xc3\xa9 \\n"},'
        b'"logprobs":{"content":[{"token":"h","logprob":-0.1}]},"finish_reason":null,"token_ids":[1]}]}'
    )
    event = write(chunk.encoded, ENVELOPE)
    assert sse.Splitter().feed(event) == [event[6:-2]]
    assert json.loads(event[6:]) == {
        "id": 'chatcmpl-1"',
        "object": "chat.completion.chunk",
        "created": 1_800_000_000,
        "model": "a/b",
        "choices": [
            {
                "index": 0,
                "delta": {"content": "hé \n"},
                "logprobs": {"content": [{"token": "h", "logprob": -0.1}]},
                "finish_reason": None,
                "token_ids": [1],
            }
        ],
    }
    assert (chunk.has_output, chunk.text_bytes, chunk.finish_reasons, chunk.usage) == (True, 5, {}, None)
    assert "hé" not in repr(chunk)


def test_the_last_chunk_carries_what_the_gateway_adds() -> None:
    usage = usage_fields(Usage(3, 4)) | {"cost": "0.001"}
    event = json.loads(write(b"[]", ENVELOPE, usage=usage, routing_info={"node": "n"})[6:])
    assert event["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": "0.001"}
    assert event["routing_info"] == {"node": "n"}
    assert event["choices"] == []


def test_line_breaks_between_tokens_do_not_become_events() -> None:
    forged = b'{"choices":[{"index":0,\n\n"delta":{"content":"x"}\r\n\r\n,"finish_reason":null}]}'
    chunk = checked(forged)
    assert sse.Splitter().feed(write(chunk.encoded, ENVELOPE)) == [write(chunk.encoded, ENVELOPE)[6:-2]]


def test_of_repeated_keys_only_the_one_that_was_checked_is_sent() -> None:
    forged = (
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"evil"}}]}}],'
        b'"choices":[{"index":0,"delta":{"tool_calls":[{"index":0}],"tool_call\\u0073":null,"content":"x"}}]}'
    )
    assert json.loads(checked(forged).encoded) == [{"index": 0, "delta": {"tool_calls": None, "content": "x"}}]


@pytest.mark.parametrize(
    ("delta", "has_output", "text_bytes"),
    [
        ({"role": "assistant"}, False, 0),
        ({"role": "assistant", "content": "", "tool_calls": []}, False, 0),
        ({"content": None, "reasoning_content": None, "tool_calls": None, "audio": None}, False, 0),
        ({}, False, 0),
        ({"x_unknown": "y"}, False, 0),
        ({"content": " "}, True, 1),
        ({"reasoning_content": "€"}, True, 3),
        ({"reasoning": "ab"}, True, 2),
        ({"refusal": "no"}, True, 2),
        ({"audio": {"data": "AA"}}, True, 0),
        (call(name="get_time", arguments=""), True, 8),
        (call(arguments='{"é'), True, 4),
        ({"function_call": {"name": "get_time", "arguments": "{}"}}, True, 10),
    ],
)
def test_what_counts_as_output(delta: dict[str, Any], has_output: bool, text_bytes: int) -> None:
    chunk = checked(payload(delta), tools=TOOLS)
    assert (chunk.has_output, chunk.text_bytes) == (has_output, text_bytes)


def test_finish_reasons_and_several_choices() -> None:
    body = {"choices": [{"index": at, "delta": {"content": "x"}, "finish_reason": "stop"} for at in (2, 0)]}
    chunk = checked(json.dumps(body).encode(), n=3)
    assert chunk.finish_reasons == {2: "stop", 0: "stop"}
    assert chunk.text_bytes == 2
    with pytest.raises(BadChunk):
        read(json.dumps(body).encode(), n=2)


def test_small_departures_from_the_format_are_mended() -> None:
    body = b'{"choices":[{"index":0,"finish_reason":"","text":"","message":{"tool_calls":[]}}]}'
    assert checked(body).choices == [{"index": 0, "finish_reason": None, "delta": {}}]
    assert checked(payload({"role": "system", "content": "x"})).choices[0]["delta"]["role"] == "assistant"


def test_done_usage_and_errors_are_told_apart() -> None:
    assert read(b"[DONE]") == Done()
    assert read(b"[DONE] ") == Done()
    usage = (
        b'{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":4}}}'
    )
    assert checked(usage).usage == Usage(5, 7)
    assert checked(b'{"usage":{"prompt_tokens":5}}').usage == Usage(5, 0)
    assert checked(b'{"choices":[]}').usage is None
    error = b'{"error":{"code":400,"message":"s3cret","type":"exceed_context_size_error"},"choices":[]}'
    assert read(error) == UpstreamError(400, "exceed_context_size_error")
    assert read(b'{"error":"boom"}') == UpstreamError()
    assert read(b'{"error":{}}') == UpstreamError()
    assert read(b'{"error":{"code":true,"type":"two words"}}') == UpstreamError()
    assert read(payload({}, finish_reason="error")) == UpstreamError()


@pytest.mark.parametrize(
    "claimed",
    [
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": 2**60},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"total_tokens": 5},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        [1],
        "many",
    ],
)
def test_usage_without_sense_is_as_good_as_none(claimed: Any) -> None:
    assert checked(json.dumps({"choices": [], "usage": claimed}).encode()).usage is None


BAD = [
    b"",
    b"null",
    b"{}",
    b"[1]",
    b'{"choices":{}}',
    b'{"choices":[1]}',
    b'{"choices":[]}{"choices":[]}',
    b'{"choices":[]}\n\ndata: [DONE]',
    b'{"choices":[{"index":0,"delta":{"content":"a\nb"}}]}',
    b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}',
    b'{"choices":[{"index":0,"delta":{"x":"\xff"}}]}',
    b'{"choices":[{"index":0,"delta":{"x":1' + b"0" * 5000 + b"}}]}",
    b'{"choices":[{"index":0,"delta":{"x":NaN}}]}',
    b'{"choices":[{"index":0,"delta":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}",
    b'{"choices":[{"delta":{}}]}',
    payload({}, index=1),
    payload({}, index=-1),
    payload({}, index=False),
    payload({}, index="0"),
    payload([]),
    payload("x"),
    payload({}, logprobs=[]),
    payload({}, finish_reason="whatever"),
    payload({}, finish_reason=["stop"]),
    payload({}, finish_reason="tool_calls"),
    payload({"content": 5}),
    payload({"content": 0}),
    payload({"content": ["x"]}),
    payload({"Content": "x"}),
    payload({"TOOL_CALLS": []}),
    payload({"tool_call\u017f": []}),
    payload({}, Delta={}),
    payload(call(name="get_time")),
    payload(call(arguments="{}")),
    payload({"function_call": {"name": "get_time"}}),
]


@pytest.mark.parametrize("forged", BAD)
def test_what_no_honest_backend_sends_is_refused(forged: bytes) -> None:
    with pytest.raises(BadChunk) as caught:
        read(forged)
    assert caught.value.__context__ is None, "the bytes hang on to the exception"


@pytest.mark.parametrize(
    "delta",
    [
        call(name="rm_rf"),
        call(name=["get_time"]),
        call(name=0),
        call(name="get_time", arguments={}),
        call(Name="rm_rf"),
        {"tool_calls": {"index": 0}},
        {"tool_calls": ["x"]},
        {"tool_calls": [{"function": {"name": "get_time"}}]},
        {"tool_calls": [{"index": 5000, "function": {"name": "get_time"}}]},
        {"tool_calls": [{"index": 0, "type": "custom", "function": {"name": "get_time"}}]},
        {"tool_calls": [{"index": 0, "custom": {"name": "rm_rf"}}]},
        {"tool_calls": [{"index": 0, "Function": {"name": "rm_rf"}}]},
        {"tool_calls": [{"index": 0, "id": {}}]},
        {"tool_calls": [{"index": 0, "function": "get_time"}]},
        {"function_call": {"name": "rm_rf"}},
    ],
)
def test_only_offered_functions_are_called(delta: dict[str, Any]) -> None:
    with pytest.raises(BadChunk):
        read(payload(delta), tools=TOOLS)


def test_the_size_limit() -> None:
    body = payload({"content": "x" * 100})
    assert isinstance(read(body, limit=len(body)), Chunk)
    with pytest.raises(BadChunk):
        read(body, limit=len(body) - 1)
