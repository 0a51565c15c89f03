"""The official Python SDK against the whole system: what the real engine says reaches the client as OpenAI says it."""

import json

import httpx
import pytest
from lightphon_backend_gguf.testing import scripted

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("model", ["auto", "greeting"])
def test_content(greeter, model):
    answer = greeter.ask(model)
    assert answer.choices[0].message.content == scripted.GREETING.text
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "greeting"
    assert answer.usage.completion_tokens == len(scripted.GREETING.pieces) + 1  # and the end of the text
    assert answer.usage.prompt_tokens > 0
    assert (answer.routing_info["backend"], answer.routing_info["node_name"]) == ("gguf", "box")

    chunks = list(greeter.ask(model, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == scripted.GREETING.text
    assert len(chunks) > len(scripted.GREETING.pieces)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage == answer.usage
    assert {chunk.model for chunk in chunks} == {"greeting"}


def test_models(system):
    listed = {model.id: model for model in system.openai().models.list()}
    assert list(listed) == ["auto", "endless", "greeting", "json_answer", "reasoning", "tool_call"]
    assert "tools" in listed["tool_call"].capabilities
    assert "tools" not in listed["greeting"].capabilities
    assert system.openai().models.retrieve("endless").context_length == 2**17


def test_a_limit_ends_with_length(system):
    answer = system.ask("endless", max_tokens=5)
    assert answer.choices[0].message.content == "".join(scripted.ENDLESS.pieces[:5])
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


@pytest.mark.parametrize("model", ["auto", "tool_call"])
def test_tool_calls(system, model):
    """ "auto" finds the only model that takes tools."""
    choice = system.ask(model, tools=[WEATHER]).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.id
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}

    chunks = list(system.ask(model, tools=[WEATHER], stream=True))
    parts = [part for chunk in chunks for part in chunk.choices[0].delta.tool_calls or []]
    assert len(parts) > 1
    assert {part.index for part in parts} == {0}
    assert parts[0].function.name == "get_weather"
    assert json.loads("".join(part.function.arguments or "" for part in parts)) == {"city": "Paris"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_the_sdks_own_stream_helper_assembles_a_tool_call(system):
    messages = [{"role": "user", "content": "Weather?"}]
    with system.openai().chat.completions.stream(
        model="tool_call", messages=messages, tools=[WEATHER], temperature=0
    ) as stream:
        events = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in events
    (call,) = final.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Paris"}


def test_a_conversation_with_a_tool_goes_on(system):
    """What the SDK returned can be sent back as it is, with the tool's result."""
    called = system.ask("tool_call", tools=[WEATHER]).choices[0].message
    messages = [
        {"role": "user", "content": "Weather?"},
        called,
        {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "Sunny"},
    ]
    assert system.ask("tool_call", messages=messages, tools=[WEATHER]).choices[0].finish_reason == "tool_calls"


def test_json_under_a_schema(system):
    schema = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}}
    for stream in (False, True):
        answer = system.ask("json_answer", response_format=schema, stream=stream)
        text = (
            "".join(chunk.choices[0].delta.content or "" for chunk in answer)
            if stream
            else answer.choices[0].message.content
        )
        assert json.loads(text) == {"city": "Paris", "population": 2_100_000}
    # The schema binds: this model would say something else.
    yes = {"type": "json_schema", "json_schema": {"name": "yes", "schema": {"const": True}}}
    assert json.loads(system.ask("greeting", response_format=yes).choices[0].message.content) is True


def test_reasoning(system):
    message = system.ask("reasoning").choices[0].message
    assert message.reasoning_content.strip() == "Two and two make four."
    assert message.content.strip() == "It is 4."
    deltas = [chunk.choices[0].delta for chunk in system.ask("reasoning", stream=True)]
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thought.strip() == "Two and two make four."


def test_stop_seed_and_logprobs(system):
    assert system.ask("greeting", stop=" scripted").choices[0].message.content == "Hello from a"
    assert system.ask("greeting", stop=[" a", " model,"], seed=7).choices[0].message.content == "Hello from"
    choice = system.ask("greeting", logprobs=True, top_logprobs=2).choices[0]
    tokens = choice.logprobs.content
    assert "".join(token.token for token in tokens[: len(scripted.GREETING.pieces)]) == scripted.GREETING.text
    assert all(len(token.top_logprobs) == 2 for token in tokens)
    assert tokens[0].logprob > -0.1  # the script leaves no doubt


def test_several_choices(system):
    answer = system.ask("greeting", n=2)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert {choice.message.content for choice in answer.choices} == {scripted.GREETING.text}
    texts = {0: "", 1: ""}
    for chunk in system.ask("greeting", n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert set(texts.values()) == {scripted.GREETING.text}


def test_a_parameter_that_the_gateway_does_not_know_reaches_the_engine(system):
    """llama.cpp's own `ignore_eos` makes a model go on that would have stopped."""
    assert system.ask("greeting", max_tokens=30).choices[0].finish_reason == "stop"
    answer = system.ask("greeting", max_tokens=30, extra_body={"ignore_eos": True})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 30


def test_what_clients_send_beside_the_essentials(system):
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    nulls = dict.fromkeys(["stop", "response_format", "n", "top_p", "seed", "logprobs", "logit_bias", "tool_choice"])
    body = {"model": "greeting", "messages": messages, "temperature": 0, "tools": [], "user": None, **nulls}
    headers = {"authorization": f"Bearer {system.api_key}"}
    reply = httpx.post(f"{system.url}/v1/chat/completions", json=body, headers=headers, timeout=30)
    assert reply.json()["choices"][0]["message"]["content"] == scripted.GREETING.text


def test_chunks_arrive_as_they_are_made(system, until):
    """The client holds the first chunks while the node, which never stops by itself, is still at work."""
    stream = system.ask("endless", stream=True, max_tokens=100_000)
    assert next(stream).choices[0].delta.role == "assistant"
    assert next(stream).choices[0].delta.content == scripted.ENDLESS.pieces[0]
    assert [(seen.model, seen.load.busy) for seen in system.busy()] == [("endless", 1)]
    assert next(stream).choices[0].delta.content == scripted.ENDLESS.pieces[1]
    stream.close()
    until(lambda: not system.busy(), 1)
