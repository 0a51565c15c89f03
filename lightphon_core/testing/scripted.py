"""A backend that says what a test tells it to, and the plugin around it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any

from lightphon_core.errors import Overloaded, Unavailable
from lightphon_core.hookspecs import hookimpl
from lightphon_core.host import Host
from lightphon_core.plugins import Source
from lightphon_core.ports import Authenticator, Backend, PaymentProvider, PayoutProvider, Scorer
from lightphon_core.types import Capability, Job, Load, Model, Node, Offer, Price

Reply = Callable[[Job], AsyncGenerator[bytes, None]]


def event(payload: object) -> bytes:
    """One server-sent event; `payload` is JSON, or text as it is ("[DONE]")."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return f"data: {text}\n\n".encode()


def chunk(delta: Mapping[str, object] | None = None, *, finish: str | None = None, index: int = 0) -> bytes:
    """One chat chunk of an upstream, with an id and model of its own."""
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return event({"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [choice]})


def text_chunk(text: str = "", *, finish: str | None = None, index: int = 0) -> bytes:
    """The same of a plain completion."""
    choice = {"index": index, "text": text, "finish_reason": finish, "logprobs": None}
    return event({"id": "up-1", "object": "text_completion", "created": 1, "model": "up", "choices": [choice]})


def vectors_of(texts: Sequence[str]) -> bytes:
    """A vector of four dimensions for each text, as an upstream's whole answer."""
    data = [
        {"object": "embedding", "index": at, "embedding": [float(len(text)), float(ord(text[0])), 1.0, -0.5]}
        for at, text in enumerate(texts)
    ]
    counted = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
    return json.dumps({"object": "list", "model": "up", "data": data, "usage": counted}).encode()


def usage(prompt: int, completion: int) -> bytes:
    """The last chunk of an upstream that was asked for usage."""
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return event({"id": "up-1", "object": "chat.completion.chunk", "choices": [], "usage": counted})


def says(*pieces: str) -> Reply:
    """A reply: a role chunk, each piece as a chunk, a finish, usage of one token a piece, and [DONE]. The same without
    a role for a plain completion, to each of its prompts; a request for vectors gets `vectors_of` its texts."""

    async def reply(job: Job) -> AsyncGenerator[bytes, None]:
        asked = json.loads(job.body)
        if job.path == "/v1/embeddings":
            yield vectors_of(asked["input"])
            return
        if job.path == "/v1/completions":
            for index in range(len(asked["prompt"]) if isinstance(asked["prompt"], list) else 1):
                for piece in pieces:
                    yield text_chunk(piece, index=index)
                yield text_chunk(finish="stop", index=index)
            yield usage(3, len(pieces)) + event("[DONE]")
            return
        yield chunk({"role": "assistant", "content": ""})
        for piece in pieces:
            yield chunk({"content": piece})
        yield chunk(finish="stop")
        yield usage(3, len(pieces)) + event("[DONE]")

    return reply


class ScriptedBackend(Backend):
    """Serves `models` on one node. Every job runs `reply(job)`; `jobs` and `closed` hold the ids it has seen and ended.

    It asks `price`, which the account `owner` earns; `gateway` is its node's. Change `reply`, `models`, `price` or
    `online` at will; call `changed()` after the last three.
    """

    def __init__(
        self,
        reply: Reply,
        *,
        name: str = "scripted",
        models: Iterable[Model | str] = ("test-model",),
        slots: int = 8,
        price: Price | None = None,
        owner: str | None = None,
        gateway: str | None = None,
    ) -> None:
        self.name = name
        self.reply = reply
        self.models = [_model(each) for each in models]
        self.slots = slots
        self.price = price
        self.owner = owner
        self.gateway = gateway
        self.online = True
        self.jobs: list[Job] = []
        self.closed: list[str] = []
        self.changed: Callable[[], None] = lambda: None
        self._busy: dict[str, int] = {}

    def offers(self) -> Sequence[Offer]:
        if not self.online:
            return ()
        node = Node(f"{self.name}-node", f"{self.name}-node", self.owner, gateway=self.gateway)
        return [Offer(f"{self.name}/{model.id}", model, node, self.slots, self.price) for model in self.models]

    def load(self) -> Mapping[str, Load]:
        return {offer: Load(busy=busy) for offer, busy in self._busy.items()}

    async def serve(self, job: Job) -> AsyncGenerator[bytes, None]:
        if not any(offer.id == job.offer_id for offer in self.offers()):
            raise Unavailable("The scripted backend does not have this offer.")
        if self._busy.get(job.offer_id, 0) >= self.slots:
            raise Overloaded("The scripted backend is full.")
        self.jobs.append(job)
        self._busy[job.offer_id] = self._busy.get(job.offer_id, 0) + 1
        reply = self.reply(job)
        try:
            async for data in reply:
                yield data
        finally:
            self._busy[job.offer_id] -= 1
            self.closed.append(job.id)
            await reply.aclose()


def plugin_of(
    *objects: Backend | Scorer | Authenticator | PaymentProvider | PayoutProvider, name: str = "scripted"
) -> Source:
    """A plugin named `name` that registers the objects given, as if it were installed."""

    class Given:
        gateways = tuple(each.gateway for each in objects if isinstance(each, ScriptedBackend) and each.gateway)

        def __init__(self, host: Host[Any]) -> None:
            for each in objects:
                if isinstance(each, ScriptedBackend):
                    each.changed = host.offers_changed

        @hookimpl
        def register_backends(self) -> list[Backend]:
            return [each for each in objects if isinstance(each, Backend)]

        @hookimpl
        def register_scorers(self) -> list[Scorer]:
            return [each for each in objects if isinstance(each, Scorer)]

        @hookimpl
        def register_authenticators(self) -> list[Authenticator]:
            return [each for each in objects if isinstance(each, Authenticator)]

        @hookimpl
        def register_payment_providers(self) -> list[PaymentProvider]:
            return [each for each in objects if isinstance(each, PaymentProvider)]

        @hookimpl
        def register_payout_providers(self) -> list[PayoutProvider]:
            return [each for each in objects if isinstance(each, PayoutProvider)]

    return Source(name, "tests", "0", lambda: Given)


def _model(model: Model | str) -> Model:
    if isinstance(model, Model):
        return model
    able = frozenset({Capability.CHAT, Capability.TOOLS, Capability.JSON, Capability.LOGPROBS, Capability.CHOICES})
    return Model(model, capabilities=able, context_length=4096)
