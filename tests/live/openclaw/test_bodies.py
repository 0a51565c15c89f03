"""A body as OpenClaw sends it, through the whole system to llama.cpp. The real one sends it in test_asking.py."""

import json

import httpx
import pytest
from lightphon_backend_gguf.testing import scripted

from lightphon_core.testing.agent import HEADERS, agent_request


@pytest.mark.parametrize(("tools", "size"), [(12, 33_000), (55, 133_000)])
def test_it_is_answered_by_llama_cpp(start_system, helper, tools, size):
    system = start_system()
    system.start_node(helper, context=2**16)
    headers = {**HEADERS, "authorization": f"Bearer {system.api_key}", "x-lightphon-client": "openclaw"}
    body = agent_request(tools=tools, size=size)
    answer = httpx.post(f"{system.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    *events, done = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    chunks = [json.loads(event) for event in events]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == scripted.GREETING.text
    assert chunks[-1]["usage"]["prompt_tokens"] > tools
