"""The demo as its own first user: asks the server with nothing but the standard library."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

from attrs import field, frozen

TIMEOUT_S = 120.0
LOOKS = 100
LOOK_S = 0.1
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
    """`server` is without a path."""

    server: str
    api_key: str = field(repr=False)

    async def is_offered(self, model: str) -> bool:
        """Whether the server is up, and lists the model."""
        try:
            listed = await self._call("/v1/models", timeout_s=5.0)
        except OSError:
            return False
        return any(entry["id"] == model for entry in listed["data"])

    async def ask(self) -> Answer:
        """One real answer to `QUESTION`."""
        body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 48}
        answer = await self._call("/v1/chat/completions", body)
        text = str(answer["choices"][0]["message"]["content"]).strip()
        usage = answer["usage"]
        return Answer(text, answer["model"], usage["total_tokens"], usage["cost"])

    async def deposit(self, amount_sats: int) -> bool:
        """Open a deposit over Lightning and pay it with play money. Whether it has been credited."""
        opened = await self._call("/api/deposits", {"provider": "lightning", "amount_sats": amount_sats})
        await self._call("/api/demo-wallet/pay", {"invoice": opened["invoice"]})
        for _ in range(LOOKS):
            if (await self._call(f"/api/deposits/{opened['id']}"))["status"] == "settled":
                return True
            await asyncio.sleep(LOOK_S)
        return False

    async def earned_msat(self) -> int:
        """What the account has of its node's earnings, those to come with them."""
        wallet = await self._call("/api/wallet")
        come, coming = wallet["by_origin_msat"].get("earned", 0), wallet["pending_earnings_msat"].values()
        return int(come) + int(sum(coming))

    async def _call(self, path: str, body: dict[str, Any] | None = None, timeout_s: float = TIMEOUT_S) -> Any:
        return await asyncio.to_thread(self._call_now, path, body, timeout_s)

    def _call_now(self, path: str, body: dict[str, Any] | None, timeout_s: float) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the URL is the demo's own
            self.server + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=timeout_s) as reply:
            return json.load(reply)
