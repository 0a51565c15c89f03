import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.openai.assemble import AnswerTooLarge, Assembler
from lightphon_core.openai.chunks import Chunk, Envelope, read

ENVELOPE = Envelope(id="chatcmpl-1", model="a/b", created=5)
TOOLS = frozenset({"f", "g"})

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
unknown = st.recursive(
    scalars | st.text(min_size=1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["xa", "xb", "xé"]), inner, max_size=3),
    max_leaves=6,
)
calls = st.builds(
    lambda id_, name, arguments: {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}},
    st.text(min_size=1, max_size=5),
    st.sampled_from(["f", "g"]),
    st.text(),
)


@st.composite
def choices(draw: st.DrawFn, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    tool_calls = draw(st.lists(calls, max_size=3))
    content = draw(st.text(max_size=30))
    message["content"] = content or (None if tool_calls else "")
    for name in draw(st.sets(st.sampled_from(["reasoning_content", "reasoning", "refusal"]))):
        message[name] = draw(st.text(max_size=10))
    if tool_calls:
        message["tool_calls"] = tool_calls
    message |= {f"x{name}": value for name, value in draw(st.dictionaries(st.sampled_from("pq"), unknown)).items()}
    tokens = st.lists(
        st.fixed_dictionaries({"token": st.text(max_size=3), "bytes": st.none() | st.just([1])}), max_size=4
    )
    logprobs = draw(st.none() | st.fixed_dictionaries({"content": tokens, "refusal": st.none() | tokens}))
    reason = draw(st.sampled_from(["stop", "length", "tool_calls"]))
    return {
        "index": index,
        "message": message,
        "finish_reason": reason,
        "logprobs": logprobs,
        "x_choice": draw(unknown),
    }


def fragments(value: Any, draw: st.DrawFn) -> list[Any]:
    """Cut a value into pieces that make it up again."""
    if isinstance(value, str | list) and value:
        place = draw(st.integers(0, len(value)))
        return [value[:place], value[place:]]
    if isinstance(value, dict) and value:
        return [{name: piece} for name, member in value.items() for piece in fragments(member, draw)]
    return [value]


def tool_call_fragments(at: int, call: dict[str, Any], draw: st.DrawFn) -> list[dict[str, Any]]:
    arguments = fragments(call["function"]["arguments"], draw)
    first = {"index": at, "id": call["id"], "type": "function", "function": call["function"] | {"arguments": ""}}
    return [first, *({"index": at, "function": {"arguments": piece}} for piece in arguments)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Whole choices, and the chunks that they were cut into, in an order that keeps each field's own."""
    whole = [draw(choices(index)) for index in range(draw(st.integers(1, 3)))]
    tracks: list[list[dict[str, Any]]] = []
    for choice in whole:
        deltas: list[list[dict[str, Any]]] = []
        for name, value in choice["message"].items():
            if name == "tool_calls":
                for at, call in enumerate(value):
                    deltas.append([{"tool_calls": [piece]} for piece in tool_call_fragments(at, call, draw)])
            else:
                deltas.append([{name: piece} for piece in fragments(value, draw)])
        index = {"index": choice["index"]}
        tracks += [[index | {"delta": delta} for delta in track] for track in deltas]
        tracks.append([index | {"delta": {}, "logprobs": piece} for piece in fragments(choice["logprobs"], draw)])
        end = {"delta": {}, "finish_reason": choice["finish_reason"], "x_choice": choice["x_choice"]}
        tracks.append([index | end])
    order = draw(st.permutations([at for at, track in enumerate(tracks) for _ in track]))
    remaining = [iter(track) for track in tracks]
    return whole, [json.dumps({"choices": [next(remaining[at])]}).encode() for at in order]


def assemble(payloads: list[bytes], n: int = 3) -> dict[str, Any]:
    assembler = Assembler()
    for payload in payloads:
        chunk = read(payload, tools=TOOLS, n=n)
        assert isinstance(chunk, Chunk)
        assembler.feed(chunk)
    answer: dict[str, Any] = json.loads(assembler.finish(ENVELOPE, {"total_tokens": 3}, {"node": "n"}))
    return answer


@given(streams())
def test_any_way_to_cut_an_answer_assembles_to_the_same(stream: tuple[list[dict[str, Any]], list[bytes]]) -> None:
    whole, payloads = stream
    assert assemble(payloads) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "a/b",
        "choices": whole,
        "usage": {"total_tokens": 3},
        "routing_info": {"node": "n"},
    }


def test_a_stream_as_llama_cpp_sends_it() -> None:
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": None},
        {"reasoning_content": "Hm"},
        {"reasoning_content": "m."},
        {"tool_calls": [{"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "id": "c0", "function": {"name": "f", "arguments": '{"a"'}}]},
        {
            "tool_calls": [
                {"index": 0, "id": "", "function": {"name": "", "arguments": ": 1}"}},
                {"index": 1, "function": {"name": "g"}},
            ]
        },
    ]
    payloads = [json.dumps({"choices": [{"index": 0, "delta": delta, "x_note": "same"}]}) for delta in deltas]
    payloads.append('{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}')
    assert assemble([payload.encode() for payload in payloads])["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hmm.",
                "tool_calls": [
                    {"id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                    {"type": "function", "function": {"name": "g", "arguments": ""}},
                ],
            },
            "finish_reason": "tool_calls",
            "logprobs": None,
            "x_note": "same",
        }
    ]


def test_whatever_is_nested_deeply_does_no_harm() -> None:
    deep = b'{"choices":[{"index":0,"delta":{"x":' + b'{"a":' * 300 + b'"v"' + b"}" * 300 + b"}}]}"
    message = assemble([deep, deep])["choices"][0]["message"]
    for _ in range(300):
        message = message["x" if "x" in message else "a"]
    assert message == {"a": "v"}


def test_an_answer_has_a_largest_size() -> None:
    pieces = [read(b'{"choices":[{"index":0,"delta":{"content":"hello"}}]}') for _ in range(3)]
    first, second, third = (piece for piece in pieces if isinstance(piece, Chunk))
    assembler = Assembler(limit=2 * len(first.encoded))
    assembler.feed(first)
    assembler.feed(second)
    with pytest.raises(AnswerTooLarge):
        assembler.feed(third)
