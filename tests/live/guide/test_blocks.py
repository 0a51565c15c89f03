"""The API guide's code blocks as they stand there, with nothing changed but host, key and token."""

import json

import httpx
import pytest
from lightphon_backend_gguf.protocol.messages import ModelFacts
from openai import OpenAI

QUICK_START = """\
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

STREAMING = """\
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

ANY_CLIENT = """\
from openai import OpenAI

client = OpenAI(
    base_url="https://lightphon.com/v1",
    api_key="your-api-key"
)

resp = client.chat.completions.create(
    model="auto",
    messages=[{"role": "user", "content": "Hello!"}]
)
print(resp.choices[0].message.content)
"""

API_KEY = """\
# Use as a Bearer token in the Authorization header:
Authorization: Bearer lp_abc123def456...

# Or pass it as apiKey in any OpenAI SDK:
client = OpenAI(base_url="https://lightphon.com/v1", api_key="lp_abc123def456...")
"""

AGENT_TOKEN = """\
# Base URL with embedded token:
https://lightphon.com/api/agent/<your-token>

# The apiKey field can be anything (token is in the URL):
client = OpenAI(
    base_url="https://lightphon.com/api/agent/<your-token>",
    api_key="x"
)
"""

ENDPOINTS = """\
GET /v1/models List all available models
GET /v1/models/{id} Get details for a specific model
POST /v1/chat/completions Create a chat completion (main endpoint)
POST /api/agent/<token>/v1/chat/completions Chat completion via Agent Token URL
POST /api/models/route Advanced: query the router directly
"""

REQUEST = """\
POST /v1/chat/completions
Authorization: Bearer <api-key>
Content-Type: application/json

{
  "model": "auto",
  "messages": [
    { "role": "system", "content": "You are a helpful assistant." },
    { "role": "user",   "content": "Explain Bitcoin Lightning in 3 lines." }
  ],
  "max_tokens": 512,
  "temperature": 0.7,
  "stream": false
}
"""

RESPONSE = """\
{
  "id": "chatcmpl-abc123",
  "object": "chat.completion",
  "created": 1717171200,
  "model": "Qwen/Qwen2.5-Coder-14B-Instruct-GGUF",
  "choices": [
    {
      "index": 0,
      "message": {
        "role": "assistant",
        "content": "Bitcoin Lightning is a Layer 2 payment protocol..."
      },
      "finish_reason": "stop"
    }
  ],
  "usage": {
    "prompt_tokens": 24,
    "completion_tokens": 86,
    "total_tokens": 110
  }
}
"""

EVENTS = """\
data: {"id":"chatcmpl-abc","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}

data: {"id":"chatcmpl-abc","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":" world"},"finish_reason":null}]}

data: {"id":"chatcmpl-abc","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]
"""  # noqa: E501 - as it is in the guide

CURL = """\
curl https://lightphon.com/v1/chat/completions \\
  -H "Authorization: Bearer your-api-key" \\
  -H "Content-Type: application/json" \\
  -d '{
    "model": "auto",
    "messages": [{"role":"user","content":"Hello!"}]
  }'
"""

CURL_STREAMING = """\
curl -N https://lightphon.com/v1/chat/completions \\
  -H "Authorization: Bearer <api-key>" \\
  -H "Content-Type: application/json" \\
  -d '{"model":"auto","messages":[{"role":"user","content":"Hi"}],"stream":true}'
"""

ROUTE = """\
POST /api/models/route
Authorization: Bearer <api-key>
Content-Type: application/json

{
  "providers": ["meta", "mistral", "deepseek"],
  "min_params_b": 7,
  "max_params_b": 72,
  "capabilities": ["code", "reasoning"],
  "prefer_size": "balanced",
  "limit": 5
}
"""

WITH_A_KEY = """\
Base URL : https://lightphon.com/v1
API Key  : your-api-key
Model    : auto
"""

WITH_A_URL = """\
Base URL : https://lightphon.com/api/agent/<your-token>
API Key  : x         (any non-empty string)
Model    : auto
"""


def sent(system, request: str) -> httpx.Response:
    """A request in the notation of the guide: its first line, its headers, an empty line, its body."""
    head, _, body = request.partition("\n\n")
    (method, path), *headers = [
        line.split(" " if number == 0 else ": ") for number, line in enumerate(head.split("\n"))
    ]
    return httpx.request(method, system.url + path, headers=dict(headers), content=body, timeout=30)


def settings(block: str) -> tuple[str, str, str]:
    """Base URL, key and model. What stands in brackets is for the reader."""
    return tuple(line.partition(" : ")[2].partition(" (")[0].strip() for line in block.splitlines())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the blocks do not close their clients
@pytest.mark.parametrize("block", [QUICK_START, STREAMING, ANY_CLIENT], ids=["quick start", "streaming", "any client"])
def test_python(adapted, run_python, answer, block):
    assert run_python(adapted(block)).strip() == answer


def test_option_a(network, adapted, answer):
    """Both halves of the block: the header, in a request by hand, and the client."""
    header, program = (half.partition("\n")[2] for half in adapted(API_KEY).split("\n\n"))
    name, _, value = header.strip().partition(": ")
    assert httpx.get(f"{network.url}/v1/models", headers={name: value}).status_code == 200
    names = {"OpenAI": OpenAI}
    exec(program, names)
    with names["client"] as client:
        assert network.ask(client=client).choices[0].message.content == answer


def test_option_b(network, adapted, answer):
    """The base URL has no /v1, and the key is a dummy: chats, streams and lists models all the same."""
    base_url, program = (half.partition("\n")[2] for half in adapted(AGENT_TOKEN).split("\n\n"))
    assert httpx.get(f"{base_url.strip()}/models").status_code == 200  # with no header at all
    names = {"OpenAI": OpenAI}
    exec(program, names)
    with names["client"] as client:
        assert str(client.base_url).rstrip("/") == base_url.strip()
        assert network.ask(client=client).choices[0].message.content == answer
        chunks = list(network.ask(client=client, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == answer


def test_every_endpoint_of_the_table(network, model, adapted):
    chat = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]})
    for line in ENDPOINTS.splitlines():
        method, path = line.split(" ")[:2]
        path = path.replace("{id}", model).replace("<token>", network.running.agent_token)
        key = {} if path.startswith("/api/agent/") else {"authorization": f"Bearer {network.api_key}"}
        body = None if method == "GET" else "{}" if path.endswith("/route") else chat
        reply = httpx.request(method, network.url + path, headers=key, content=body, timeout=30)
        assert reply.status_code == 200, (line, reply.text)


def test_the_request_gets_the_response(network, adapted, answer, fits):
    """Every field of the guide's response is there, in its place and of its type, and what is fixed is the same."""
    reply = sent(network, adapted(REQUEST))
    assert reply.headers["content-type"] == "application/json"
    example, found = json.loads(RESPONSE), reply.json()
    assert fits(example, found), found
    assert found["id"].startswith("chatcmpl-")
    assert (found["object"], found["model"]) == (example["object"], example["model"])
    (choice,) = found["choices"]
    assert choice["message"] == {"role": "assistant", "content": answer}
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    usage = found["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert min(usage["prompt_tokens"], usage["completion_tokens"]) > 0
    told = found["routing_info"]
    assert (told["node_name"], told["model"]) == ("box", example["model"])


def test_curl(adapted, run_shell, answer, fits):
    found = json.loads(run_shell(adapted(CURL)))
    assert fits(json.loads(RESPONSE), found), found
    assert found["choices"][0]["message"]["content"] == answer


def test_curl_streaming_gets_the_events(adapted, run_shell, answer, fits):
    """Lines and empty lines as the guide shows them. Text comes in as many events as there are tokens; the last before
    [DONE] has the finish reason, an empty delta, and who answered."""
    *examples, end = EVENTS.strip().split("\n\n")
    text, _, finish = (json.loads(example.removeprefix("data: ")) for example in examples)
    *events, done, rest = run_shell(adapted(CURL_STREAMING)).split("\n\n")
    assert (done, rest) == (end, "")
    assert all(event.startswith("data: {") and "\n" not in event for event in events)
    role, *chunks, last = [json.loads(event.removeprefix("data: ")) for event in events]
    assert role["choices"][0]["delta"] == {
        "role": "assistant",
        "content": None,
    }  # OpenAI's first event has no text either
    assert all(fits(text, chunk) for chunk in chunks), chunks
    assert fits(finish, last)
    assert {(chunk["id"], chunk["object"]) for chunk in (role, *chunks)} == {(last["id"], finish["object"])}
    assert last["choices"] == finish["choices"]
    pieces = [chunk["choices"][0]["delta"]["content"] for chunk in chunks]
    assert "".join(pieces) == answer
    assert len(list(filter(None, pieces))) > 2
    assert last["routing_info"]["node_name"] == "box"


def test_the_routing_query(network, adapted, shelf):
    """Nothing on offer fits it, until nodes come that say of their models what it asks for."""
    found = sent(network, adapted(ROUTE)).json()
    assert found["candidates"] == []
    assert sum(found["excluded"].values()) == 1

    able = ("chat", "code", "reasoning")
    stock = [
        ModelFacts("deepseek-ai/DeepSeek-Coder-33B", able, 8192, "deepseek", 33.0),
        ModelFacts("mistralai/Devstral-9B", able, 8192, "mistral", 9.0),
        ModelFacts("meta/too-small", able, 8192, "meta", 6.9),
        ModelFacts("meta/too-large", able, 8192, "meta", 72.1),
        ModelFacts("meta/cannot-reason", ("chat", "code"), 8192, "meta", 8.0),
        ModelFacts("qwen/another-maker", able, 8192, "qwen", 8.0),
    ]
    with shelf(*stock):
        found = sent(network, adapted(ROUTE)).json()
        one = sent(network, adapted(ROUTE).replace('"limit": 5', '"limit": 1')).json()
    # Both are the right ones; about 10 thousand million parameters is what "balanced" prefers.
    names = [each["model"] for each in found["candidates"]]
    assert names == ["mistralai/Devstral-9B", "deepseek-ai/DeepSeek-Coder-33B"]
    assert sum(found["excluded"].values()) == 1 + len(stock) - len(names)
    assert [each["model"] for each in one["candidates"]] == names[:1]


@pytest.mark.parametrize(
    ("block", "key"),
    [(WITH_A_KEY, None), (WITH_A_URL, None), (WITH_A_URL, "sk-something-else"), (WITH_A_URL, f"lp_{'0' * 40}")],
    ids=["key", "url", "url, other key", "url, key like ours"],
)
def test_the_settings_of_a_coding_tool(network, model, adapted, answer, block, key):
    """What such a tool does with them: it lists models, asks for the one that is set, whole and streamed. Under the
    URL with a token any key will do, and none is looked at."""
    base_url, said, name = settings(adapted(block))
    with OpenAI(base_url=base_url, api_key=key or said, max_retries=0) as client:
        assert [each.id for each in client.models.list()] == [name, model]
        assert client.models.retrieve(model).id == model
        assert network.ask(name, client=client).choices[0].message.content == answer
        assert [*network.ask(name, client=client, stream=True)][-1].choices[0].finish_reason == "stop"
