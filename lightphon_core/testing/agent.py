"""The body of a request as agents such as OpenClaw send it: a long system prompt, dozens of tools, and turns in every
shape that a chat may have. The words are made up; the shapes and sizes are what was seen of OpenClaw 2026.9.6."""

from __future__ import annotations

import json
from typing import Any

_WORDS = (
    "the agent reads the file first and says what it found before it changes anything; it asks where a step cannot be "
    "undone, keeps answers short, and never repeats a secret that a tool has shown to it. "
)
_KINDS: tuple[dict[str, Any], ...] = (
    {"type": "string", "description": "A path below the workspace."},
    {"type": "integer", "minimum": 0, "description": "A line, counted from 0."},
    {"type": "boolean"},
    {"type": "string", "enum": ["read", "write", "append"]},
    {"type": "array", "items": {"type": "string"}, "description": "Several of them."},
    {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False},
)

HEADERS = {
    "user-agent": "OpenAI/JS 6.9.1",
    "x-stainless-arch": "x64",
    "x-stainless-lang": "js",
    "x-stainless-os": "Linux",
    "x-stainless-package-version": "6.9.1",
    "x-stainless-retry-count": "0",
    "x-stainless-runtime": "node",
    "x-stainless-runtime-version": "v24.21.0",
}
"""What comes with such a body, besides the key."""


def agent_request(
    *, tools: int = 12, size: int = 33_000, model: str = "auto", max_tokens: int = 4096
) -> dict[str, Any]:
    """A chat with so many tools, of `size` bytes of JSON: 12 and 33,000, or 55 and 133,000, are what OpenClaw sends.
    Its last turn asks for one word. Where the tools alone are longer, so is the body."""
    offered = [_tool(at) for at in range(tools)]
    called = offered[0]["function"]["name"]
    call = {"id": "call_1", "type": "function", "function": {"name": called, "arguments": '{"field0":"notes.md"}'}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": ""},
        {"role": "user", "content": "[Sun 2026-11-22 10:04 UTC] What do my notes say?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "caf\u00e9, \u2615 and a walk\n"},
        {"role": "assistant", "content": [{"type": "text", "text": "That you like coffee."}]},
        {"role": "user", "content": [{"type": "text", "text": "Thank you."}, {"type": "text", "text": "And now:"}]},
        {"role": "user", "content": "Say one word."},
    ]
    body = {
        "model": model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": max_tokens,
        "store": False,
        "tools": offered,
        "tool_choice": "auto",
    }
    room = size - len(json.dumps(body, ensure_ascii=False).encode())
    messages[0]["content"] = (_WORDS * (max(room, 0) // len(_WORDS) + 1))[: max(room, 1)]
    return body


def _tool(at: int) -> dict[str, Any]:
    """One with a schema of several fields; the later ones are longer."""
    properties = {f"field{number}": _KINDS[(at + number) % len(_KINDS)] for number in range(3 + at % 5)}
    return {
        "type": "function",
        "function": {
            "name": f"workspace_{at}",
            "description": _WORDS * (1 + at % 3),
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": ["field0"],
                "additionalProperties": False,
            },
            "strict": False,
        },
    }
