"""The API guide's own examples: requests, and what they are answered. Pure. Clients' settings are in snippets.py.

The tests send each request, and compare each answer with what comes, member by member.
"""

from __future__ import annotations

import json
import shlex
from typing import Final

from lightphon_core.web.pages.guide.snippets import KEY, TOKEN

_AUTHORIZATION: Final = f'  -H "Authorization: Bearer {KEY}"'
_QUESTION: Final = [
    {"role": "system", "content": "You answer in one sentence."},
    {"role": "user", "content": "What is a Lightning invoice?"},
]
_ID: Final = "chatcmpl-cc4bdc40fa72522ac4590f4d"
_CREATED: Final = 1780000000
_SERVED_BY: Final = {
    "backend": "gguf",
    "node": "node-4dca0275968793ff938c",
    "node_name": "cellar",
    "model": "qwen/Qwen3-8B-GGUF",
    "attempts": 1,
    "ttft_ms": 210.5,
}
_USAGE: Final = {
    "prompt_tokens": 24,
    "completion_tokens": 31,
    "total_tokens": 55,
    "cost_msat": 740,
    "cost": "0.74",
    "cost_currency": "sat",
}

HEADER: Final = f"Authorization: Bearer {KEY}\n"


def base_url(origin: str) -> str:
    """What most clients ask for."""
    return f"{origin}/v1\n"


def token_url(origin: str) -> str:
    """The same with an agent token in it."""
    return f"{origin}/api/agent/{TOKEN}/v1\n"


def first_request(origin: str) -> str:
    """The shortest request that is answered."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}]}
    return _post(origin, "/v1/chat/completions", json.dumps(body))


def chat_request(origin: str) -> str:
    """A chat with some parameters."""
    body = {"model": "auto", "messages": _QUESTION, "max_tokens": 200, "temperature": 0.7, "stream": False}
    return _post(origin, "/v1/chat/completions", json.dumps(body, indent=2))


def chat_answer() -> str:
    """What that is answered."""
    said = "A Lightning invoice is a request for one payment, of an amount and for a time that it names."
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": said},
        "finish_reason": "stop",
        "logprobs": None,
    }
    answer = {
        "id": _ID,
        "object": "chat.completion",
        "created": _CREATED,
        "model": _SERVED_BY["model"],
        "choices": [choice],
        "usage": _USAGE,
        "routing_info": _SERVED_BY,
    }
    return json.dumps(answer, indent=2) + "\n"


def stream_request(origin: str) -> str:
    """A chat whose answer comes as it is made."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello!"}], "stream": True}
    return _post(origin, "/v1/chat/completions", json.dumps(body), program="curl -N")


def stream_answer() -> str:
    """The events of that."""
    events = [
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": "Hel"}),
        _chunk({"content": "lo!"}),
        {**_chunk({}, "stop"), "usage": _USAGE, "routing_info": _SERVED_BY},
    ]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n"


def route_request(origin: str) -> str:
    """Who would answer, and why."""
    body = {"min_params_b": 7, "capabilities": ["tools"], "prefer_size": "balanced", "sort": "price", "limit": 5}
    return _post(origin, "/api/models/route", json.dumps(body))


def models_request(origin: str) -> str:
    """What is on offer."""
    return f"curl {origin}/v1/models \\\n{_AUTHORIZATION}\n"


def wallet_request(origin: str) -> str:
    """What is left to spend."""
    return f"curl {origin}/api/wallet \\\n{_AUTHORIZATION}\n"


def model_entry() -> str:
    """One entry of that list, without what only repeats."""
    pricing = {"prompt": "0.000005", "completion": "0.00002", "request": "0", "minute": "0", "currency": "sat"}
    entry = {
        "id": _SERVED_BY["model"],
        "object": "model",
        "created": _CREATED,
        "owned_by": "qwen",
        "maker": "qwen",
        "context_length": 32768,
        "pricing": pricing,
        "capabilities": ["chat", "completion", "json", "tools"],
        "params_b": 8.19,
        "quantization": "Q4_K_M",
        "nodes_online": 2,
    }
    return json.dumps(entry, indent=2) + "\n"


def error_answer() -> str:
    """What goes wrong, in OpenAI's shape."""
    error = {
        "message": "The model 'gpt-5' is not on offer. GET /v1/models lists those that are.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    return json.dumps({"error": error}, indent=2) + "\n"


def _post(origin: str, path: str, body: str, *, program: str = "curl") -> str:
    return f"{program} {origin}{path} \\\n{_AUTHORIZATION} \\\n  -d {shlex.quote(body)}\n"


def _chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": _ID,
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": _SERVED_BY["model"],
        "choices": [choice],
    }
