"""A body as OpenClaw sends it: read whole, and sent on with one output limit and everything else as it was."""

import json

import pytest

from lightphon_core.openai.request import parse, ready_body
from lightphon_core.testing.agent import agent_request
from lightphon_core.types import Capability

PATH = "/v1/chat/completions"


def raw(body) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


@pytest.mark.parametrize(("tools", "size"), [(12, 33_000), (55, 133_000)])
def test_it_is_read_and_travels_whole(tools, size):
    body = agent_request(tools=tools, size=size, max_tokens=2000)
    assert len(raw(body)) == size
    request = parse(PATH, raw(body), max_output_tokens=4096, via=frozenset({"openclaw"}))
    assert request.needs.capabilities == {Capability.CHAT, Capability.TOOLS}
    assert (request.model, request.stream, request.include_usage, request.limit) == (None, True, True, 2000)
    assert (request.needs.max_output_tokens, request.needs.via) == (2000, {"openclaw"})
    assert request.tools == {each["function"]["name"] for each in body["tools"]}
    assert request.prompt.messages == 7
    sent = json.loads(ready_body(request, model="served", max_tokens=100))
    for name in ("messages", "tools", "tool_choice", "stream"):
        assert sent[name] == body[name]
    assert (sent["model"], sent["max_tokens"]) == ("served", 100)
    assert not {"max_completion_tokens", "store"} & sent.keys()


def test_turns_of_one_conversation_are_one_session():
    """What OpenClaw adds comes at the end: the node that read the beginning is asked again."""
    first = agent_request()
    more = {"role": "assistant", "content": None, "tool_calls": first["messages"][2]["tool_calls"]}
    second = {**first, "messages": [*first["messages"], more, {"role": "tool", "tool_call_id": "x", "content": ""}]}
    one, two = (parse(PATH, raw(body), max_output_tokens=1).session for body in (first, second))
    assert one == two is not None
