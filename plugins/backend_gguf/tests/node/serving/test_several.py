"""A stream with several choices, as llama.cpp sends it and as it should be."""

import json
from typing import Any

import pytest
from lightphon_backend_gguf.node.serving.several import LONGEST_EVENT, BrokenStream, Several


def event(text: str, index: int, reason: str | None = None, **besides: Any) -> bytes:
    choice = {"text": text, "index": index, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice], **besides}).encode() + b"\n\n"


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


STREAM = b"".join(
    [
        b"data: null\n\n",
        event("a", 1),
        event('the word "usage" and an "error"', 0),
        event("", 1, "stop", usage=usage(3, 5), timings={"predicted_n": 4}),
        event("", 0, "length", usage=usage(2, 7), timings={"predicted_n": 6}),
        b": a comment\n\n",
        b"data: [DONE]\n\n",
    ]
)


def decoded(stream: bytes) -> list[Any]:
    *events, done, end = stream.decode().split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    return [json.loads(each.removeprefix("data: ")) for each in events]


@pytest.mark.parametrize(("prompts", "read"), [(2, 5), (1, 3)])
def test_one_usage_at_the_end_wherever_the_stream_is_cut(prompts: int, read: int) -> None:
    whole = Several(prompts=prompts)
    given = whole.feed(STREAM)
    *events, last = decoded(given)
    assert [each["choices"][0]["index"] for each in events] == [1, 0, 1, 0]
    assert [each["choices"][0]["finish_reason"] for each in events] == [None, None, "stop", "length"]
    assert not any("usage" in each or "timings" in each for each in events)
    assert last == {"choices": [], "usage": usage(read, 12), "timings": {"predicted_n": 6}}
    for at in range(len(STREAM)):
        parts = Several(prompts=prompts)
        assert parts.feed(STREAM[:at]) + parts.feed(STREAM[at:]) + parts.end() == given
    returns = Several(prompts=prompts)
    assert decoded(returns.feed(STREAM.replace(b"\n", b"\r\n"))) == [*events, last]


def test_a_stream_that_has_one_usage_keeps_it() -> None:
    chunk = b'data: {"choices":[],"id":"x","usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}\n\n'
    stream = Several(prompts=1)
    assert decoded(stream.feed(event("a", 0) + chunk + b"data: [DONE]\n\n"))[1:] == [
        {"id": "x", "choices": [], "usage": usage(3, 5)}
    ]


def test_what_is_left_of_a_stream_that_breaks_off_is_passed_on() -> None:
    stream = Several(prompts=2)
    assert stream.feed(event("a", 0) + b"data: {") == event("a", 0)
    assert stream.end() == b"data: {"


def test_an_error_before_all_else_is_one() -> None:
    error = b'data: {"error":{"code":400,"message":"too long"}}\n\n'
    with pytest.raises(BrokenStream) as caught:
        Several(prompts=2).feed(error)
    assert caught.value.status == 400
    assert "too long" in caught.value.answer.decode()
    assert "too long" not in repr(caught.value)
    begun = Several(prompts=2)
    assert begun.feed(event("a", 0) + error) == event("a", 0) + error, "the core knows what to make of it"


@pytest.mark.parametrize(
    "rubbish",
    [b'data: {"usage"\n\n', b'data: ["usage"]\n\n', b"x" * (LONGEST_EVENT + 1), b'data: {"error": "no"}\n\n'],
)
def test_what_is_no_stream(rubbish: bytes) -> None:
    with pytest.raises(BrokenStream) as caught:
        Several(prompts=2).feed(rubbish)
    assert caught.value.status == 500
