"""OpenAI's chat and text completions over a model that only makes tokens: parameters, chunks, usage, cancelling."""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from attrs import define, frozen

from lightphon_backend_gguf.node.engines.ctransformers_model import Sampling
from lightphon_backend_gguf.node.engines.loopback import Request, RequestFailed
from lightphon_backend_gguf.node.engines.templates import ChatTemplate, TemplateFailed
from lightphon_backend_gguf.node.engines.text import TextCutter

WAITING = 8
"""How many requests may wait for the one stream; more are told to come back."""

MAX_STOPS = 16


class Model(Protocol):
    """What makes tokens. `generate` runs in a thread of its own, and `wanted` may be called in it."""

    context: int

    def tokenize(self, text: str) -> list[int]: ...

    def generate(self, tokens: list[int], sampling: Sampling, wanted: Callable[[], bool]) -> Iterator[bytes]: ...


@frozen
class _Order:
    """A request that was checked."""

    chat: bool
    tokens: list[int]
    sampling: Sampling
    stops: tuple[str, ...]
    limit: int
    stream: bool
    usage: bool


@define
class _Progress:
    """What came of it so far."""

    completion: int = 0
    reason: str = "stop"


class Completions:
    """Answers requests, one at a time; the others wait their turn."""

    def __init__(self, model: Model, template: ChatTemplate | None, name: str) -> None:
        self._model = model
        self._template = template
        self._name = name
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def answer(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The answer to a request, as `loopback` takes it."""
        if (request.method, request.path) == ("GET", "/v1/models"):
            yield json.dumps({"object": "list", "data": [{"id": self._name, "object": "model"}]}).encode()
            return
        order = self._order(request)
        if self._waiting >= WAITING:
            raise RequestFailed(429, "The engine is busy.")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            async with aclosing(self._stream(order) if order.stream else self._whole(order)) as parts:
                async for part in parts:
                    yield part
        finally:
            self._turn.release()

    def _order(self, request: Request) -> _Order:
        body = request.body
        if not isinstance(body, dict):
            raise RequestFailed(400, "The request is not a JSON object.")
        chat = request.path == "/v1/chat/completions"
        if chat and self._template is not None:
            prompt = self._render(body.get("messages"))
        elif request.path == "/v1/completions" and isinstance(body.get("prompt"), str):
            prompt = body["prompt"]
        else:
            raise RequestFailed(400, "This model does not answer such requests.")
        tokens, context = self._model.tokenize(prompt), self._model.context
        if len(tokens) >= context:
            message = (
                f"The prompt is {len(tokens)} tokens long; this model takes {context}, prompt and answer together."
            )
            code = "context_length_exceeded"
            raise RequestFailed(400, message, code=code, param="messages", n_prompt_tokens=len(tokens), n_ctx=context)
        options = body.get("stream_options")
        return _Order(
            chat=chat,
            tokens=tokens,
            sampling=_sampling(body),
            stops=_stops(body.get("stop")),
            limit=min(_number(body, "max_tokens", context, 1, 2**31, whole=True), context - len(tokens)),
            stream=body.get("stream") is True,
            usage=isinstance(options, dict) and options.get("include_usage") is True,
        )

    def _render(self, messages: Any) -> str:
        assert self._template is not None
        if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
            raise RequestFailed(400, "'messages' is not a list of messages.", param="messages")
        try:
            return self._template.render([{**m, "content": _text(m.get("content"))} for m in messages])
        except TemplateFailed as failed:
            raise RequestFailed(400, f"Jinja Exception: {failed}", param="messages") from None

    async def _pieces(self, order: _Order, progress: _Progress) -> AsyncGenerator[str, None]:
        """The answer's text. The tokens are made in a thread, which is over when this is."""
        loop = asyncio.get_running_loop()
        made: asyncio.Queue[bytes | None] = asyncio.Queue()
        unwanted = threading.Event()

        def work() -> None:
            try:
                for piece in self._model.generate(order.tokens, order.sampling, lambda: not unwanted.is_set()):
                    loop.call_soon_threadsafe(made.put_nowait, piece)
            finally:
                loop.call_soon_threadsafe(made.put_nowait, None)

        cutter = TextCutter(order.stops)
        working = loop.run_in_executor(None, work)
        try:
            while not cutter.stopped and progress.completion < order.limit and (piece := await made.get()) is not None:
                progress.completion += 1
                if text := cutter.feed(piece):
                    yield text
            if text := cutter.end():
                yield text
            if not cutter.stopped and progress.completion >= order.limit:
                progress.reason = "length"
        finally:
            unwanted.set()
            # Its next look is at most one step away, and the next answer needs the model.
            await asyncio.shield(working)

    async def _stream(self, order: _Order) -> AsyncGenerator[bytes, None]:
        progress = _Progress()
        head = self._head(order, stream=True)
        if order.chat:
            yield _event(head, [_choice({"delta": {"role": "assistant", "content": ""}}, None)])
        async with aclosing(self._pieces(order, progress)) as pieces:
            async for text in pieces:
                yield _event(head, [_choice({"delta": {"content": text}} if order.chat else {"text": text}, None)])
        yield _event(head, [_choice({"delta": {}} if order.chat else {"text": ""}, progress.reason)])
        if order.usage:
            yield _event({**head, "usage": _usage(order, progress)}, [])
        yield b"data: [DONE]\n\n"

    async def _whole(self, order: _Order) -> AsyncGenerator[bytes, None]:
        progress = _Progress()
        async with aclosing(self._pieces(order, progress)) as pieces:
            text = "".join([piece async for piece in pieces])
        content = {"message": {"role": "assistant", "content": text}} if order.chat else {"text": text}
        answer = {**self._head(order, stream=False), "choices": [_choice(content, progress.reason)]}
        yield json.dumps({**answer, "usage": _usage(order, progress)}).encode()

    def _head(self, order: _Order, *, stream: bool) -> dict[str, Any]:
        kind = ("chat.completion.chunk" if stream else "chat.completion") if order.chat else "text_completion"
        return {"id": f"cmpl-{secrets.token_hex(8)}", "object": kind, "created": int(time.time()), "model": self._name}


def _choice(content: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": 0, **content, "finish_reason": reason}


def _event(head: dict[str, Any], choices: Sequence[dict[str, Any]]) -> bytes:
    return b"data: " + json.dumps({**head, "choices": choices}).encode() + b"\n\n"


def _usage(order: _Order, progress: _Progress) -> dict[str, int]:
    prompt, completion = len(order.tokens), progress.completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _text(content: Any) -> str:
    """A message's content as one text; parts that are text are joined."""
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if content is not None and not isinstance(content, str):
        raise RequestFailed(400, "A message's content is neither text nor a list of parts.", param="messages")
    return content or ""


def _stops(stop: Any) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop or []
    if not (isinstance(stops, list) and len(stops) <= MAX_STOPS and all(isinstance(text, str) for text in stops)):
        raise RequestFailed(400, f"'stop' is neither a text nor a list of at most {MAX_STOPS}.", param="stop")
    return tuple(stops)


def _sampling(body: dict[str, Any]) -> Sampling:
    usual = Sampling()
    temperature = _number(body, "temperature", usual.temperature, 0, 10)
    return Sampling(
        temperature=temperature or 1.0,
        top_p=_number(body, "top_p", usual.top_p, 0, 1),
        # The library divides by the temperature, so the likeliest token is asked for in another way.
        top_k=int(_number(body, "top_k", usual.top_k, 0, 2**20, whole=True)) if temperature else 1,
        repeat_penalty=_number(body, "repeat_penalty", usual.repeat_penalty, 0.1, 10),
        repeat_last_n=int(_number(body, "repeat_last_n", usual.repeat_last_n, 0, 4096, whole=True)),
        seed=int(_number(body, "seed", secrets.randbelow(2**31), -(2**63), 2**63, whole=True)),
    )


def _number(body: dict[str, Any], name: str, usual: float, low: float, high: float, *, whole: bool = False) -> Any:
    """A parameter, or its usual value where it is not given."""
    value = body.get(name, usual)
    if type(value) not in ((int,) if whole else (int, float)) or not low <= value <= high:
        raise RequestFailed(400, f"'{name}' is not a number from {low:g} to {high:g}.", param=name)
    return value
