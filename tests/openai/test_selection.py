"""Which models a request may be answered by, and which conversation it belongs to."""

import json
from typing import Any

import pytest

from lightphon_core.errors import InvalidRequest
from lightphon_core.openai.request import InferenceRequest, parse, ready_body
from lightphon_core.openai.selection import clients_of
from lightphon_core.types import Filters, Focus

HELLO = [{"role": "user", "content": "hello"}]
SYSTEM = {"role": "system", "content": "s"}


def chat(header: str | None = None, **body: Any) -> InferenceRequest:
    raw = json.dumps({"messages": HELLO} | body).encode()
    return parse("/v1/chat/completions", raw, max_output_tokens=9, session_id=header)


def named(**body: Any) -> tuple[str | None, tuple[str | None, ...], Focus | None]:
    needs = chat(**body).needs
    return needs.model, needs.fallbacks, needs.focus


def test_models_and_what_to_fall_back_on() -> None:
    assert named(model="a/b:free") == ("a/b:free", (), None)
    assert named(model="auto") == (None, (), None)
    for focus in Focus:
        assert named(model=f"auto:{focus}") == (None, (), focus)
    assert named(model="auto:FAST") == (None, (), Focus.FAST)
    assert named(model="automatic:1") == ("automatic:1", (), None)
    assert named(model="a", models=["b", "auto:cheap", "a", "b"]) == ("a", ("b", None), Focus.CHEAP)
    assert named(models=["b", "a"]) == ("b", ("a",), None)
    assert named(models=["auto", "a"]) == (None, ("a",), None)
    assert named(model="a", models=[]) == ("a", (), None)


def test_the_gateways_that_a_request_says_it_came_through() -> None:
    assert clients_of(None) == clients_of("") == frozenset()
    assert clients_of("OpenClaw") == clients_of(" openclaw ,OPENCLAW") == {"openclaw"}
    assert clients_of("openclaw, my-bot_2") == {"openclaw", "my-bot_2"}
    for wrong in ("openclaw/2026.9.6", "open claw", "claw;", ",", "claw,", "w" * 33, ",".join("abcdefghi"), "\xe9"):
        with pytest.raises(InvalidRequest) as caught:
            clients_of(wrong)
        assert caught.value.param == "x-lightphon-client"


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        ({"model": "auto:s3cret"}, "model", "auto, auto:fast, auto:cheap, auto:code, auto:reasoning, auto:free."),
        ({"model": "auto:"}, "model", "auto:fast"),
        ({"model": "a", "models": ["b", "auto:x"]}, "models[1]", "auto:fast"),
        ({"model": "auto", "models": ["auto:fast"]}, "models[0]", "Name it once"),
        ({"models": []}, "model", "Missing required parameter: 'model'"),
        ({"models": ["m"] * 9}, "models", "length <= 8"),
        ({"model": "m", "models": "m"}, "models", "an array"),
        ({"model": "m", "route": []}, "route", "an object"),
        ({"model": "m", "route": {"limit": 0}}, "route.limit", ">= 1"),
        ({"model": "m", "route": {"sort": "s3cret"}}, "route.sort", "one of: best"),
        ({"model": "m", "route": {"provider": "x"}}, "route.provider", "Did you mean 'providers'?"),
        ({"model": "m", "session_id": 5}, "session_id", "a string"),
        ({"model": "m", "prompt_cache_key": "k" * 513}, "prompt_cache_key", "length <= 512"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat(**body)
    assert caught.value.param == param
    assert says in caught.value.message
    assert "s3cret" not in caught.value.message


def test_none_of_it_travels() -> None:
    request = chat("h", models=["m"], route={"max_price": 1.5}, session_id="s3cret", prompt_cache_key="k", seed=1)
    assert request.needs.filters == Filters(max_price_msat=1500)
    assert set(json.loads(ready_body(request, model="m", max_tokens=1))) == {
        "model",
        "messages",
        "seed",
        "stream",
        "stream_options",
        "max_tokens",
    }
    assert request.session is not None
    assert "s3cret" not in repr(request)
    assert repr(request.session) not in repr(request)


def session(header: str | None = None, **body: Any) -> bytes | None:
    return chat(header, model="m", **body).session


def said(*turns: tuple[str, Any]) -> bytes | None:
    return session(messages=[{"role": role, "content": content} for role, content in turns])


def test_a_session_is_named_by_the_body_then_the_header_then_the_cache_key() -> None:
    assert session(session_id="a", prompt_cache_key="b") == session("z", session_id="a") == session("a")
    assert session("a", prompt_cache_key="b") == session("a")
    assert session(prompt_cache_key="b") == session(prompt_cache_key="b", messages=[SYSTEM])
    digests = {session("a"), session("b"), session(prompt_cache_key="a"), session(), said(("user", "a"))}
    assert len(digests) == 5
    assert session(session_id="", prompt_cache_key="") == session()


def test_a_conversation_that_goes_on_is_the_same_session() -> None:
    first = [SYSTEM, *HELLO]
    answered = [*first, {"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]
    assert session(messages=first) == session(messages=answered, temperature=1, stream=True)
    assert session(messages=first) != session(messages=HELLO)
    assert session() == session(messages=[*HELLO, {"role": "assistant", "content": "x"}])
    assert said(("developer", "s"), ("user", "hello")) == session(messages=first)
    assert said(("user", [{"type": "text", "text": "hello"}])) == session()


def test_different_beginnings_are_different_sessions() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    beginnings = [
        said(("system", "ab"), ("user", "c")),
        said(("system", "a"), ("user", "bc")),
        said(("system", "abc"), ("user", "")),
        said(("user", "abc")),
        said(("user", [{"type": "text", "text": "abc"}, image])),
        said(("user", "é" * 40_000)),
        said(("user", "é" * 20_000 + "x")),
    ]
    assert len(set(beginnings)) == len(beginnings)
    assert said(("user", "é" * 40_000)) == said(("user", "é" * 39_999 + "x")), "only how it begins is looked at"
    assert said(("user", "é" * 40_000)) != said(("user", "é" * 40_001)), "and how long it is"


def test_where_nothing_tells_there_is_no_session() -> None:
    assert said(("assistant", "x")) is None
    assert said(("user", "")) is None
