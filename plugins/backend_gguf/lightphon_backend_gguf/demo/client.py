"""The demo as its own first user: asks the server with nothing but the standard library."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

from attrs import field, frozen

TIMEOUT_S = 120.0
QUESTION = "Hello! Who are you?"


@frozen
class Answer:
    """What came back. `cost` is in sats, as a decimal string."""

    text: str
    model: str
    tokens: int
    cost: str


@frozen
class Client:
    """`base_url` ends in /v1."""

    base_url: str
    api_key: str = field(repr=False)

    async def is_offered(self, model: str) -> bool:
        """Whether the server is up, and lists the model."""
        try:
            listed = await asyncio.to_thread(self._call, "/models", None, 5.0)
        except OSError:
            return False
        return any(entry["id"] == model for entry in listed["data"])

    async def ask(self) -> Answer:
        """One real answer to `QUESTION`."""
        body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 48}
        answer = await asyncio.to_thread(self._call, "/chat/completions", body, TIMEOUT_S)
        text = str(answer["choices"][0]["message"]["content"]).strip()
        usage = answer["usage"]
        return Answer(text, answer["model"], usage["total_tokens"], usage["cost"])

    def _call(self, path: str, body: dict[str, Any] | None, timeout_s: float) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the URL is the demo's own
            self.base_url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=timeout_s) as reply:
            return json.load(reply)
