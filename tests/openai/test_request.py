import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai import body as body_module
from lightphon_core.openai import fields
from lightphon_core.openai.body import MAX_BESIDE_BYTES, MAX_FIELDS, object_fields
from lightphon_core.openai.request import InferenceRequest, parse, ready_body
from lightphon_core.types import Capability

PATH = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}


def read(body: bytes | dict[str, Any], gateway: int = 4096) -> InferenceRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse(PATH, raw, max_output_tokens=gateway)


def chat(**more: Any) -> InferenceRequest:
    return read({"model": "m", "messages": HELLO} | more)


def sent(request: InferenceRequest, max_tokens: int = 100) -> dict[str, Any]:
    pairs = json.loads(ready_body(request, model="served", max_tokens=max_tokens), object_pairs_hook=list)
    assert len({name for name, _ in pairs}) == len(pairs), "a key is sent twice"
    result: dict[str, Any] = json.loads(ready_body(request, model="served", max_tokens=max_tokens))
    return result


def refusal(body: bytes | dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    return caught.value


def test_what_reaches_the_model() -> None:
    request = read(
        b'{"stream": true, "x_new\\u0021": {"a" : [1, 2.50]}, "model":"auto", "temperature":0.5,\n'
        b'"messages":[{"role":"user", "content":"h\xc3\xa9"}], "stream_options":{"include_usage":true}, "grammar":"g"}'
    )
    assert (request.path, request.model, request.stream, request.include_usage, request.n) == (
        PATH,
        None,
        True,
        True,
        1,
    )
    assert request.needs.capabilities == {Capability.CHAT, Capability.JSON}
    assert not request.offers_tools
    assert ready_body(request, model="a/b", max_tokens=7) == (
        b'{"model":"a/b","stream":true,"stream_options":{"include_usage":true},"x_new!":{"a" : [1, 2.50]},'
        b'"temperature":0.5,"messages":[{"role":"user", "content":"h\xc3\xa9"}],"grammar":"g","max_tokens":7}'
    )
    assert chat().model == "m"
    assert chat(stream=None).stream is False


def test_nothing_of_the_prompt_shows_in_the_repr() -> None:
    request = read({"model": "m", "messages": [{"role": "user", "content": "s3cret"}], "tools": [TOOL]})
    assert "s3cret" not in repr(request)
    assert "get_time" not in repr(request)


@pytest.mark.parametrize("name", sorted(fields.OUTPUT_LIMITS | fields.ENGINE_OUTPUT_LIMITS))
def test_every_name_of_the_output_limit_becomes_one(name: str) -> None:
    request = chat(**{name: 50})
    assert (request.limit, request.needs.max_output_tokens) == (50, 50)
    assert sent(request, max_tokens=4096)["max_tokens"] == 50
    assert set(sent(request)) == {"model", "messages", "stream", "stream_options", "max_tokens"}
    assert sent(request, max_tokens=20)["max_tokens"] == 20
    assert chat(**{name: 10**30}).needs.max_output_tokens == 4096
    for wrong in ("8", 8.5, True, [8]):
        assert refusal({"model": "m", "messages": HELLO, name: wrong}).param == name


def test_the_smallest_output_limit_counts() -> None:
    assert chat(max_tokens=9, max_completion_tokens=8, n_predict=7).limit == 7
    assert chat(max_tokens=9, n_predict=-1).limit == 9
    assert chat(n_predict=-1).needs.max_output_tokens == 4096
    assert chat(max_tokens=None).limit is None
    for name in fields.OUTPUT_LIMITS:
        assert refusal({"model": "m", "messages": HELLO, name: 0}).param == name


REMOVED = sorted(fields.REMOVED - fields.GATEWAY_SET - fields.OUTPUT_LIMITS - fields.ENGINE_OUTPUT_LIMITS)


READ = {"models": ["b"], "route": {"limit": 8}, "session_id": "s", "prompt_cache_key": "k"}


@pytest.mark.parametrize("name", [*REMOVED, "speculative.n_max", "speculative.types"])
def test_a_removed_field_never_reaches_the_model(name: str) -> None:
    for spelling in (name, name.upper(), name.replace("s", "\u017f")):
        assert set(sent(chat(**{spelling: READ.get(name, 8)}))) == {
            "model",
            "messages",
            "stream",
            "stream_options",
            "max_tokens",
        }


@pytest.mark.parametrize("name", ["N", "Messages", "Max_Tokens", "STREAM", "Model", "Tools"])
def test_another_case_of_a_checked_name_does_not_slip_past_the_check(name: str) -> None:
    assert name not in sent(chat(**{name: 1000}))


@pytest.mark.parametrize(
    "name",
    [
        "grammar",
        "chat_template_kwargs",
        "reasoning_format",
        "reasoning_effort",
        "top_k",
        "min_p",
        "seed",
        "stop",
        "n",
        "logprobs",
        "top_logprobs",
        "response_format",
        "ignore_eos",
        "repeat_last_n",
        "logit_bias",
        "verbosity",
    ],
)
def test_other_parameters_reach_the_model(name: str) -> None:
    values = {
        "grammar": "root ::= x",
        "stop": ["a"],
        "logprobs": True,
        "chat_template_kwargs": {"enable_thinking": False},
        "response_format": {"type": "json_object"},
        "logit_bias": {"1": -100},
    }
    value = values.get(name, 2)
    assert sent(chat(**{name: value}))[name] == value
    assert name not in sent(chat(**{name: None}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=6), json_values, max_size=6),
    st.sampled_from([None, 0, 1]),
    st.booleans(),
    st.data(),
)
def test_members_are_found_and_repeated_keys_are_not_overlooked(
    value: dict[str, Any], indent: int | None, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    found = object_fields(text.encode())
    assert list(found) == list(value)
    assert all(json.loads(found[name]) == value[name] for name in value)
    if value:
        repeated = data.draw(st.sampled_from(sorted(value)))
        members = [json.dumps(name) + ": " + json.dumps(value[name]) for name in value]
        escaped = '"' + "".join(f"\\u{unit:04x}" for unit in utf16(repeated)) + '"'
        again = (
            data.draw(st.sampled_from([json.dumps(repeated), escaped])) + " :\n" + json.dumps(data.draw(json_values))
        )
        members.insert(data.draw(st.integers(0, len(members))), again)
        with pytest.raises(InvalidRequest) as caught:
            object_fields(("{" + ",".join(members) + "}").encode())
        assert caught.value.param == repeated


def utf16(text: str) -> list[int]:
    raw = text.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a":12,"a":1}',
        b'{"a":1,"a":12}',
        b'{"a":[1],"b":1,"a":[1]}',
        b'{"b":1,"a":1,"a":1}',
        b'{"a":1,"a":1,"b":1}',
        b'{"a":"zz}","a":"q"}',
        b'{"a":"zz}","\\u0061":"q"}',
        b'{"a":"q","a":"zz,\\"b\\":1}"}',
        b'{"a":null,"a":null}',
        b'{ "a" : {"a":1,"a":2} , "a" :\n{} }',
        b'{"x":1' + b"0" * 5000 + b',"a":1,"a":1}',
    ],
)
def test_a_repeated_key_is_named(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        object_fields(body)
    assert (caught.value.param, caught.value.message) == ("a", "The field 'a' is given twice.")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"[]", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b'{"model": "m"', "ends too early"),
        (b"{'model': 1}", "not valid JSON"),
        (b'{"model": NaN}', "not valid JSON"),
        (b'{"model": "m"} x', "not valid JSON"),
        (b'{"model": "m", "x": "\xff"}', "not valid UTF-8"),
        (b'{"model": "m", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"{" + b",".join(b'"%d":0' % at for at in range(MAX_FIELDS + 1)) + b"}", "more than 256 fields"),
    ],
)
def test_bodies_that_are_no_request(body: bytes, says: str) -> None:
    error = refusal(body)
    assert says in error.message
    assert error.__context__ is None, "the body hangs on to the exception"


BRACKETS = b"[" + b"[]," * (MAX_BESIDE_BYTES // 3) + b"0]"
HALF = b"[" + b"[]," * (MAX_BESIDE_BYTES // 6) + b"0]"


@pytest.mark.parametrize(
    "beside",
    [
        b'"tools":' + BRACKETS,
        b'"unheard_of":' + BRACKETS,
        b'"logit_bias":' + HALF + b',"stop":' + HALF,
        b",".join(b'"%06d":0' % at for at in range(MAX_BESIDE_BYTES // 11 + 1)),
        b'"messages":' + BRACKETS,
    ],
)
def test_what_is_no_text_to_read_is_bounded_before_it_is_decoded(
    beside: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "_members", None)  # so it is not read as an object
    error = refusal(b'{"model":"m",' + beside + b',"messages":[{"role":"user","content":"x"}]}')
    assert "more than 1048576 bytes beside messages" in error.message
    assert error.__context__ is None, "the body hangs on to the exception"


def test_text_to_read_may_be_longer() -> None:
    long = "x" * 2 * MAX_BESIDE_BYTES
    body = {"model": "m", "messages": [{"role": "user", "content": long}], "tools": None, "metadata": {}}
    assert read(body).prompt.text_bytes == len(long)
    twice = json.dumps(body)[:-1] + ',"metadata":{}}'
    assert refusal(twice.encode()).message == "A field of the body is given twice."


PART = {"role": "user", "content": [{"type": "text", "text": "x"}]}


@pytest.mark.parametrize(
    ("change", "param", "says"),
    [
        ({"model": None}, "model", "Missing required parameter: 'model'"),
        ({"model": 3}, "model", "Expected a string or null, got an integer"),
        ({"model": ""}, "model", "length >= 1"),
        ({"messages": None}, "messages", "Missing required parameter: 'messages'"),
        ({"messages": []}, "messages", "length >= 1"),
        ({"messages": "hi"}, "messages", "Expected an array, got a string"),
        ({"messages": [*HELLO, "hi"]}, "messages[1]", "Expected an object"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role", "Missing required parameter: 'messages[0].role'"),
        ({"messages": [{"role": "s3cret", "content": "x"}]}, "messages[0].role", "one of: system, developer, user"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "a string or an array or null"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "Missing"),
        ({"messages": [{"role": "assistant"}]}, "messages[0].content", "called no tool"),
        ({"messages": [{"role": "user", "content": [{"type": "s3cret"}]}]}, "messages[0].content[0].type", "not one"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text", "Missing"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
            "Miss",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "messages[0].content[0].type", "file"),
        ({"messages": [PART, {"role": "tool"}]}, "messages[1].content", "Missing"),
        ({"tools": {}}, "tools", "Expected an array or null"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "Missing"),
        ({"tools": [{"type": "s3cret", "function": {"name": "f"}}]}, "tools[0].type", "must be one of: function"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name", "length"),
        ({"n": 0}, "n", ">= 1"),
        ({"n": 9}, "n", "<= 8"),
        ({"n": True}, "n", "Expected an integer or null, got a boolean"),
        ({"temperature": 2.1}, "temperature", "<= 2"),
        ({"temperature": "hot"}, "temperature", "a number"),
        ({"top_p": -0.1}, "top_p", ">= 0"),
        ({"presence_penalty": 3}, "presence_penalty", "<= 2"),
        ({"frequency_penalty": -3}, "frequency_penalty", ">= -2"),
        ({"seed": 1.5}, "seed", "an integer"),
        ({"seed": 2**63}, "seed", "<="),
        ({"stop": 5}, "stop", "a string"),
        ({"stop": list("abcdefghijklmnopq")}, "stop", "length <= 16"),
        ({"stream": "yes"}, "stream", "a boolean"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "a boolean"),
        ({"top_logprobs": 21}, "top_logprobs", "<= 20"),
        ({"logit_bias": {"50": "s3cret"}}, "logit_bias", "a number"),
        ({"repeat_last_n": 2**31 - 1}, "repeat_last_n", "<="),
        ({"dry_penalty_last_n": 2**31 - 1}, "dry_penalty_last_n", "<="),
        ({"response_format": {"type": "xml"}}, "response_format.type", "not one"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "Missing"),
    ],
)
def test_errors_name_the_field_and_never_the_text(change: dict[str, Any], param: str, says: str) -> None:
    error = refusal({"model": "m", "messages": HELLO} | change)
    assert error.param == param
    assert says in error.message
    assert "s3cret" not in error.message


def test_developer_messages_become_system_messages_and_all_else_stays() -> None:
    untouched = b'[ {"role" : "user","content":"developer"},{"role":"system","content":"\\u0041"} ]'
    request = read(b'{"model":"m","messages":' + untouched + b"}")
    assert untouched in ready_body(request, model="m", max_tokens=1)
    body = b'{"model":"m","messages":[{"role":"developer","content":"\\u0041","x":1.50},{"role":"user","content":"u"}]}'
    request = read(body)
    rewritten = b'[{"role":"system","content":"\\u0041","x":1.50},{"role":"user","content":"u"}]'
    assert rewritten in ready_body(request, model="m", max_tokens=1)


def test_tools_that_are_offered() -> None:
    request = chat(tools=[TOOL], tool_choice="auto", parallel_tool_calls=False)
    assert request.offers_tools
    assert request.tools == {"get_time"}
    assert request.needs.capabilities == {Capability.CHAT, Capability.TOOLS}
    assert sent(request)["tools"] == [TOOL]
    assert sent(request)["parallel_tool_calls"] is False
    none = chat(tools=[TOOL], tool_choice="none")
    assert not none.offers_tools
    assert Capability.TOOLS in none.needs.capabilities
    legacy = chat(functions=[{"name": "f"}], function_call={"name": "f"})
    assert legacy.tools == {"f"}
    assert "functions" in sent(legacy)


@pytest.mark.parametrize("empty", [[], None])
def test_no_tools_are_the_same_as_an_empty_list(empty: Any) -> None:
    request = chat(
        tools=empty, tool_choice="required", parallel_tool_calls=True, functions=empty, function_call="auto", seed=1
    )
    assert not request.offers_tools
    assert request.needs.capabilities == {Capability.CHAT}
    assert set(sent(request)) == {"model", "messages", "stream", "stream_options", "max_tokens", "seed"}


def test_what_a_request_needs() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "é" * 80}
    request = chat(messages=[{"role": "user", "content": [text, image]}, {"role": "assistant", "content": "y" * 160}])
    assert request.needs.capabilities == {Capability.CHAT, Capability.VISION}
    assert request.needs.prompt_tokens == 20
    for more in ({"response_format": {"type": "json_object"}}, {"json_schema": {"type": "object"}}):
        assert chat(**more).needs.capabilities == {Capability.CHAT, Capability.JSON}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert Capability.JSON in chat(response_format=schema).needs.capabilities
    assert Capability.JSON in chat(grammar="root ::= x").needs.capabilities
    assert chat(response_format={"type": "text"}).needs.capabilities == {Capability.CHAT}


def test_log_probabilities_and_several_choices_are_needs() -> None:
    for more in ({"logprobs": True}, {"logprobs": True, "top_logprobs": 2}, {"top_logprobs": 0}):
        assert chat(**more).needs.capabilities == {Capability.CHAT, Capability.LOGPROBS}
    several = chat(n=3).needs
    assert (several.capabilities, several.choices) == ({Capability.CHAT, Capability.CHOICES}, 3)
    for less in ({"logprobs": False}, {"logprobs": None, "top_logprobs": None}, {"n": 1}, {"n": None}, {}):
        assert chat(**less).needs.capabilities == {Capability.CHAT}
        assert chat(**less).needs.choices == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "/x.png", "data:text/html,x", "https://", ""])
def test_images_have_a_web_or_data_address(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    error = refusal({"model": "m", "messages": [{"role": "user", "content": [part]}]})
    assert error.param == "messages[0].content[0].image_url.url"


def test_an_assistant_turn_of_tool_calls_needs_no_content() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "5"}]
    assert sent(chat(messages=turns))["messages"] == turns


def test_an_unknown_path_is_the_callers_mistake() -> None:
    with pytest.raises(KeyError):
        parse("/v1/nothing", b"{}", max_output_tokens=1)
