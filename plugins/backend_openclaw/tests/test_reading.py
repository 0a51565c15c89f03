"""What is read of a server: lists of models, and errors. Honest ones and others."""

import json

import pytest
from attrs import evolve
from lightphon_backend_openclaw.failures import failure
from lightphon_backend_openclaw.instances import Instance
from lightphon_backend_openclaw.listing import MOST_MODELS, NotAListing, offers_of
from lightphon_backend_openclaw.settings import Kind

from lightphon_core import BackendError, Capability, Overloaded, Price, Refused, TimedOut, Unavailable

BOX = Instance("box", Kind.HTTP, "http://box.invalid", price=Price(per_minute=7), slots=3)


def listed(*entries: object) -> bytes:
    return json.dumps({"object": "list", "data": entries}).encode()


def test_what_servers_tell_of_a_model() -> None:
    plain, vllm, router = offers_of(
        listed(
            {"id": "plain"},
            {"id": "owner/vllm", "max_model_len": 32768, "owned_by": "vllm"},
            {
                "id": "owner/router:free",
                "context_length": 8192,
                "supported_parameters": ["tools", "response_format", "logprobs", "seed", 7],
                "architecture": {"input_modalities": ["text", "image"]},
            },
        ),
        evolve(BOX, context_length=4096),
    )
    assert (plain.model.context_length, vllm.model.context_length, router.model.context_length) == (4096, 32768, 8192)
    assert plain.model.capabilities == vllm.model.capabilities == {Capability.CHAT}
    assert router.model.capabilities == {
        Capability.CHAT,
        Capability.TOOLS,
        Capability.JSON,
        Capability.LOGPROBS,
        Capability.VISION,
    }
    assert {(each.slots, each.price, each.node.gateway, each.model.owned_by) for each in (plain, vllm, router)} == {
        (3, Price(per_minute=7), None, None)
    }


def test_the_operators_word_comes_first() -> None:
    able = frozenset({Capability.EMBEDDING})
    instance = evolve(BOX, models=frozenset({"b"}), capabilities=able)
    (offer,) = offers_of(listed({"id": "a"}, {"id": "b", "supported_parameters": ["tools"]}), instance)
    assert (offer.model.id, offer.model.capabilities) == ("b", able)


def test_what_nobody_could_ask_for_is_left_out() -> None:
    strange = [{"id": name} for name in ("auto", "auto:free", "", " a", "ü", "x" * 201, "a\nb", 7, None, ["a"])]
    found = offers_of(listed(*strange, "a", None, {"id": "a", "context_length": -1}, {"id": "a"}), BOX)
    assert [(each.model.id, each.model.context_length) for each in found] == [("a", None)]
    assert len(offers_of(listed(*({"id": f"m{at}"} for at in range(MOST_MODELS + 9))), BOX)) == MOST_MODELS


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b'{"data": {}}', b'{"error": 1}', b"[" * 100_000])
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(NotAListing):
        offers_of(body, BOX)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0.5", 0.5), (None, None), ("soon", None), ("-1", None), ("nan", None), ("1e9", 3600)],
)
def test_when_to_come_back(header: str | None, seconds: float | None) -> None:
    error = failure(503, b"", header)
    assert isinstance(error, Overloaded)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("said", "param", "code"),
    [
        ({"message": "This model's maximum context length is 9."}, "messages", "context_length_exceeded"),
        ({"message": "secret prompt", "param": "temperature"}, "temperature", None),
        ({"message": "secret prompt", "param": "secret prompt"}, None, None),
        ("secret prompt", None, None),
    ],
)
def test_a_refusal_names_no_more_than_a_parameter(said: object, param: str | None, code: str | None) -> None:
    error = failure(400, json.dumps({"error": said}).encode(), None)
    assert isinstance(error, Refused)
    assert (error.param, error.code) == (param, code)
    assert "secret" not in error.message


KINDS: dict[type[BackendError], tuple[int, ...]] = {
    Refused: (400, 413, 415, 422, 501),
    Overloaded: (429, 503),
    TimedOut: (504,),
    Unavailable: (204, 301, 307, 401, 402, 403, 404, 408, 409, 500, 502, 529),
}


def test_what_each_status_is_to_the_core() -> None:
    for kind, statuses in KINDS.items():
        assert {type(failure(status, b"", None)) for status in statuses} == {kind}
