"""The API guide's own examples, with nothing changed but host and key, against the whole system."""

import contextlib
import io
import json
import os
import subprocess

import pytest
from lightphon_backend_gguf.testing import scripted

HOST = "https://lightphon.com"

QUICK_START = """
from openai import OpenAI

client = OpenAI(
    base_url="https://lightphon.com/v1",
    api_key="your-api-key-here"
)

response = client.chat.completions.create(
    model="auto",                       # router picks the best model
    messages=[{"role": "user", "content": "Hello!"}]
)
print(response.choices[0].message.content)
"""

STREAMING = """
from openai import OpenAI

client = OpenAI(base_url="https://lightphon.com/v1", api_key="your-key")

stream = client.chat.completions.create(
    model="auto",
    messages=[{"role": "user", "content": "Hello!"}],
    stream=True
)
for chunk in stream:
    if chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
"""

AGENT_TOKEN = """
from openai import OpenAI

client = OpenAI(
    base_url="https://lightphon.com/api/agent/<your-token>",
    api_key="x"
)
print(client.chat.completions.create(
    model="auto", messages=[{"role": "user", "content": "Hello!"}]
).choices[0].message.content)
"""

CURL = """
curl https://lightphon.com/v1/chat/completions \\
  -H "Authorization: Bearer your-api-key" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "auto",
    "messages": [{"role":"user","content":"Hello!"}]
  }'
"""

CURL_STREAMING = """
curl -N https://lightphon.com/v1/chat/completions \\
  -H "Authorization: Bearer <api-key>" \\
  -H "Content-Type: application/json" \\
  -d '{"model":"auto","messages":[{"role":"user","content":"Hi"}],"stream":true}'
"""

KEYS = ("your-api-key-here", "your-api-key", "your-key", "<api-key>")


def adapted(system, example: str) -> str:
    example = example.replace(HOST, system.url).replace("<your-token>", system.running.agent_token)
    for key in KEYS:
        example = example.replace(key, system.api_key)
    return example


def run_shell(script: str) -> str:
    environ = {**os.environ, "no_proxy": "*"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True, env=environ)
    return done.stdout


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the examples do not close their clients
@pytest.mark.parametrize("example", [QUICK_START, STREAMING, AGENT_TOKEN], ids=["quick start", "streaming", "agent"])
def test_python(greeter, example):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(adapted(greeter, example), "<guide>", "exec"), {})
    assert printed.getvalue().strip() == scripted.GREETING.text


def test_curl(greeter):
    answer = json.loads(run_shell(adapted(greeter, CURL)))
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "greeting"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": scripted.GREETING.text}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    assert answer["routing_info"]["node_name"] == "box"


def test_curl_streaming(greeter):
    *events, done, end = run_shell(adapted(greeter, CURL_STREAMING)).split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content") or "" for delta in deltas) == scripted.GREETING.text
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


def test_the_agent_url_needs_no_key_and_beats_one(greeter):
    """Models too, with and without /v1; what stands in the header does not matter."""
    for suffix in ("", "/v1"):
        for header in ("", '-H "Authorization: Bearer sk-something-else"'):
            url = f"{greeter.url}/api/agent/{greeter.running.agent_token}{suffix}/models"
            listed = json.loads(run_shell(f"curl -s {header} {url}"))
            assert [model["id"] for model in listed["data"]] == ["auto", "greeting"]
