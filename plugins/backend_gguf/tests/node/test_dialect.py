"""What of a request reaches an engine, once the guard has let it pass."""

import json
from typing import Any

import pytest
from attrs import evolve
from lightphon_backend_gguf.node.dialect import GENERAL, LLAMA_CPP, Dialect, Feature
from lightphon_backend_gguf.node.engines.base import offered
from lightphon_backend_gguf.node.guard import guarded
from lightphon_backend_gguf.node.models.infill import Infill
from lightphon_backend_gguf.protocol.messages import JobFailed

from lightphon_core import Capability

PLAIN = Dialect(frozenset({Feature.CHAT}), frozenset({"messages", "temperature"}))
SEEING = Dialect(frozenset(Feature), LLAMA_CPP)
PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="


def prepared(dialect: Dialect, **fields: Any) -> Any:
    return json.loads(dialect.prepare(guarded(json.dumps(fields).encode()), "its own name"))


def with_image(url: object) -> list[Any]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}]


def test_what_is_not_listed_or_null_is_dropped_and_the_model_is_the_engines() -> None:
    got = prepared(PLAIN, model="the gateway's", temperature=1, n_predict=9, Temperature=2, messages=None, tools=[])
    assert got == {"model": "its own name", "temperature": 1}


def test_repeated_members_are_one() -> None:
    assert PLAIN.prepare(guarded(b'{"temperature": 0, "temperature": 1}'), "m") == b'{"temperature":1,"model":"m"}'


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
        ({"prompt": "Hi"}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"input": ["Hi"]}, "input"),
        ({"suffix": "end"}, "suffix"),
        ({"suffix": ["end"]}, "suffix"),
        ({"echo": True}, "echo"),
        ({"messages": ["Hi"]}, "messages"),
        ({"messages": with_image({"url": PICTURE})}, "messages"),
    ],
)
def test_what_the_engine_lacks_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(JobFailed) as caught:
        prepared(PLAIN, **fields)
    assert (caught.value.kind, caught.value.param) == ("refused", param)


def test_asking_for_nothing_special_is_no_offence() -> None:
    prepared(PLAIN, n=1, logprobs=False, response_format={"type": "text"}, tools=[], echo=False, suffix="", prompt=None)


def test_who_sees_gets_images() -> None:
    image = with_image({"url": PICTURE, "detail": "low"})
    assert prepared(SEEING, messages=image)["messages"] == image


def test_a_choice_takes_a_slot() -> None:
    def of(slots: int) -> Dialect:
        return Dialect.of_slots(frozenset(Feature), LLAMA_CPP, slots)

    assert Feature.CHOICES not in of(1).features
    assert Feature.CHOICES in of(3).features
    assert prepared(of(3), n=3)["n"] == 3
    for slots, n in ((1, 2), (3, 4), (3, 0), (3, "2"), (3, True), (3, 1e9), (3, [])):
        with pytest.raises(JobFailed) as caught:
            prepared(of(slots), n=n)
        assert (caught.value.kind, caught.value.param) == ("refused", "n")
    unable = Dialect.of_slots(frozenset({Feature.CHAT}), LLAMA_CPP, 8)
    assert (unable.features, unable.choices) == ({Feature.CHAT}, 1)


def test_a_prompt_takes_a_slot_for_each_of_its_choices() -> None:
    three = Dialect.of_slots(frozenset(Feature), LLAMA_CPP, 3)
    assert prepared(three, prompt=["a", "b", "c"])["prompt"] == ["a", "b", "c"]
    for dialect, prompts, n in ((three, 4, 1), (three, 2, 2), (evolve(three, choices=1), 2, 1)):
        with pytest.raises(JobFailed) as caught:
            prepared(dialect, prompt=["a"] * prompts, n=n)
        assert (caught.value.kind, caught.value.param) == ("refused", "prompt")
    assert prepared(evolve(three, choices=1), prompt=["a"])["prompt"] == "a"


def test_a_suffix_is_part_of_the_prompt_where_the_engine_takes_none() -> None:
    writing = evolve(SEEING, infill=Infill("<P>", "<S>", "<M>"), choices=2)
    assert prepared(writing, prompt="a", suffix="b") == {"model": "its own name", "prompt": "<P>a<S>b<M>"}
    assert prepared(writing, prompt=["a", ""], suffix="b")["prompt"] == ["<P>a<S>b<M>", "<P><S>b<M>"]
    assert prepared(writing, prompt="a", suffix="") == {"model": "its own name", "prompt": "a"}
    native = evolve(SEEING, infill=None)
    assert prepared(native, prompt="a", suffix="b") == {"model": "its own name", "prompt": "a", "suffix": "b"}
    assert "suffix" not in prepared(native, suffix="b"), "there is nothing before it"


def test_features_are_the_cores_words() -> None:
    assert set(Feature) <= set(Capability), "or the hub drops them, and the router knows nothing of them"


def test_an_offer_has_what_model_and_engine_both_have() -> None:
    assert offered(["chat", "tools", "reasoning", "code"], frozenset({Feature.CHAT, Feature.JSON})) == (
        "chat",
        "code",
        "reasoning",
    )


def test_nothing_that_costs_or_reaches_into_an_engine_is_on_a_list() -> None:
    never = {"model", "n_predict", "best_of", "id_slot", "cache_prompt", "lora", "options", "keep_alive", "user"}
    never |= {"echo", "input_extra", "content", "multimodal_data"}
    assert not never & (LLAMA_CPP | GENERAL.parameters)
