"""What every `Backend` must do. The suite asks for a started backend that offers at least one chat model on an idle
upstream, whose answers run to several chunks."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from attrs import evolve

from lightphon_core.errors import BackendError, Refused, Unavailable
from lightphon_core.openai import sse
from lightphon_core.openai.chunks import BadChunk, Chunk
from lightphon_core.openai.vectors import Wanted, read_vectors
from lightphon_core.ports import Backend
from lightphon_core.testing.setups import check_node_setup
from lightphon_core.types import Capability, ConnectedNode, Job, Load, NodeState, Offer

PATIENCE_S = 60.0
"""How long one answer of the upstream may take."""
CANCEL_S = 2.0
"""How long a cancelled job may keep its slot."""
SLOTS = 8
"""How many slots of an offer are filled at most."""

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_numbers = itertools.count(1)


TEXTS = ["The cat sleeps.", "Trains run late."]


def job_for(
    offer: Offer, *, max_tokens: int = 16, body: bytes | None = None, path: str = "/v1/chat/completions"
) -> Job:
    """A job as the gateway would send it: a chat, or what else `path` is for."""
    content: dict[str, Any] = {"model": offer.model.id}
    if path == "/v1/embeddings":
        content |= {"input": TEXTS, "encoding_format": "base64"}
        max_tokens = 0
    else:
        content |= {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": max_tokens}
        asked = {"role": "user", "content": "Say something."}
        content |= {"prompt": "Once"} if path == "/v1/completions" else {"messages": [asked]}
    return Job(
        id=f"contract-{next(_numbers)}",
        offer_id=offer.id,
        path=path,
        body=json.dumps(content).encode() if body is None else body,
        max_output_tokens=max_tokens,
        timeout_s=PATIENCE_S,
    )


def chat_offer(backend: Backend) -> Offer:
    """An offer that the suite can talk to."""
    offers = [offer for offer in backend.offers() if Capability.CHAT in offer.model.capabilities]
    assert offers, "the fixture `backend` must offer a chat model"
    return offers[0]


async def check_name(backend: Backend) -> None:
    """A name, for `routing_info`."""
    assert isinstance(backend.name, str), "a backend's name is a string"
    assert backend.name.isidentifier(), f"a backend's name is one plain word, not {backend.name!r}"


async def check_offers(backend: Backend) -> None:
    """Offers are well-formed, and reading them twice gives the same."""
    offers = list(backend.offers())
    for offer in offers:
        assert isinstance(offer, Offer), f"offers() returns Offers, not {offer!r}"
        assert _MODEL_ID.fullmatch(offer.model.id), (
            f"the model id {offer.model.id!r} has characters that no client expects"
        )
        assert offer.node.name.isprintable(), f"the node name {offer.node.name!r} is not printable"
        assert offer.node.name.isascii(), f"the node name {offer.node.name!r} is not safe in a header"
        assert offer.slots >= 1, "an offer has at least one slot"
        assert offer.model.capabilities, "a model can do something"
    assert len({offer.id for offer in offers}) == len(offers), "offer ids are unique within a backend"
    assert list(backend.offers()) == offers, "offers() is a snapshot: nothing changed, so it must not either"


async def check_load(backend: Backend) -> None:
    """Load speaks of offers that exist, in numbers that make sense."""
    ids = {offer.id for offer in backend.offers()}
    for offer, load in backend.load().items():
        assert offer in ids, f"load() names {offer!r}, which is not offered"
        assert isinstance(load, Load), f"load() returns Loads, not {load!r}"
        assert load.busy >= 0, "busy slots are not negative"
        assert load.queued >= 0, "queued requests are not negative"


async def check_nodes(backend: Backend) -> None:
    """Whoever offers something is among the nodes, once, and is online."""
    states = {}
    for connected in backend.nodes():
        assert isinstance(connected, ConnectedNode), f"nodes() returns ConnectedNodes, not {connected!r}"
        assert isinstance(connected.state, NodeState), f"a node's state is a NodeState, not {connected.state!r}"
        assert connected.node.id not in states, f"nodes() has {connected.node.id!r} twice"
        states[connected.node.id] = connected.state
    for offer in backend.offers():
        state = states.get(offer.node.id)
        assert state is not None, f"the node {offer.node.id!r} has offers, and nodes() does not have it"
        assert state is NodeState.ONLINE, f"a node that is {state} offers nothing, and this one does"


async def check_answer(backend: Backend) -> None:
    """A chat streams server-sent events that parse, finish, and report usage."""
    chunks = await _chunks(backend, job_for(chat_offer(backend)))
    assert len(chunks) >= 2, "an answer comes in several chunks"
    assert _finished(chunks) == 1, "an answer ends with one finish_reason"
    assert any(chunk.get("usage") for chunk in chunks), "include_usage was set, so usage is reported"


async def check_completion(backend: Backend) -> None:
    """Where a model writes plain text, that streams as text, finishes, and reports usage."""
    for offer in _offers(backend, Capability.COMPLETION):
        chunks = await _chunks(backend, job_for(offer, path="/v1/completions"))
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        assert any(choice.get("text") for choice in choices), "a plain completion has its output in 'text'"
        assert _finished(chunks) == 1, "a plain completion ends with one finish_reason"
        assert any(chunk.get("usage") for chunk in chunks), "include_usage was set, so usage is reported"


async def check_embeddings(backend: Backend) -> None:
    """Where a model makes vectors, there is one for each text, in one JSON body."""
    for offer in _offers(backend, Capability.EMBEDDING):
        body = b"".join(await _parts(backend, job_for(offer, path="/v1/embeddings")))
        try:
            chunk = read_vectors(body, Wanted(len(TEXTS)))
        except BadChunk as error:
            raise AssertionError(f"an answer to an embeddings request has a vector for each text: {error}") from error
        assert isinstance(chunk, Chunk), "a backend raises its errors, and does not send them in a body"
        assert chunk.usage is not None, "an answer to an embeddings request reports usage"


async def check_concurrent(backend: Backend) -> None:
    """Jobs side by side, as many as there are slots, each get a whole answer."""
    offer = chat_offer(backend)
    jobs = [job_for(offer) for _ in range(min(offer.slots, SLOTS))]
    answers = await asyncio.gather(*(_chunks(backend, job) for job in jobs))
    for chunks in answers:
        assert _finished(chunks) == 1, "each of several jobs gets an answer of its own, with one finish_reason"


async def check_close(backend: Backend) -> None:
    """Closing the generators of all slots in the middle cancels at once, and the slots are free again."""
    offer = chat_offer(backend)
    works = [backend.serve(job_for(offer, max_tokens=4096)) for _ in range(min(offer.slots, SLOTS))]
    for work in works:
        async with _within(PATIENCE_S, "an answer begins"):
            await anext(work)
    for work in works:
        async with _within(CANCEL_S, "a generator that is closed ends at once"):
            try:
                await work.aclose()
            except RuntimeError as error:
                raise AssertionError(f"a generator that is closed yields no more: {error}") from error
    await _until_idle(backend, offer)


async def check_cancel(backend: Backend) -> None:
    """Cancelling the task that reads, even before the first byte, does the same."""
    offer = chat_offer(backend)
    began = asyncio.Event()

    async def read() -> None:
        async with aclosing(backend.serve(job_for(offer, max_tokens=4096))) as parts:
            began.set()
            async for _ in parts:
                pass

    task = asyncio.create_task(read())
    await began.wait()
    await asyncio.sleep(0)
    task.cancel()
    async with _within(CANCEL_S, "a job that is cancelled ends at once"):
        await asyncio.wait({task})
    assert task.cancelled(), "a job that is cancelled lets the cancellation through"
    await _until_idle(backend, offer)


async def check_unknown_offer(backend: Backend) -> None:
    """An offer that has gone meanwhile is `Unavailable`."""
    error = await _error(backend, evolve(job_for(chat_offer(backend)), offer_id="no such offer"))
    assert isinstance(error, Unavailable), f"a job for an offer that has gone is Unavailable, not {error!r}"


async def check_refused(backend: Backend) -> None:
    """A request that the upstream takes for wrong is `Refused`, with a message for the client."""
    error = await _error(backend, job_for(chat_offer(backend), body=b'{"messages": 7}'))
    assert isinstance(error, Refused), f"a request that is wrong is Refused, not {error!r}"
    assert error.message, "a refusal says why"


async def _chunks(backend: Backend, job: Job) -> list[Any]:
    """The decoded events of a whole answer, without [DONE]."""
    splitter = sse.Splitter()
    payloads = [payload for part in await _parts(backend, job) for payload in splitter.feed(part)]
    payloads += splitter.end()
    try:
        return [json.loads(payload) for payload in payloads if payload != b"[DONE]"]
    except ValueError as error:
        raise AssertionError(f"the events of an answer are JSON: {error}") from error


async def _parts(backend: Backend, job: Job) -> list[bytes]:
    """The bytes of a whole answer, as they came."""
    read: list[bytes] = []
    async with _within(PATIENCE_S, "an answer ends"), aclosing(backend.serve(job)) as parts:
        async for part in parts:
            assert isinstance(part, bytes), f"serve() yields bytes, not {type(part).__name__}"
            read.append(part)
    return read


def _offers(backend: Backend, capability: Capability) -> list[Offer]:
    """One offer that can do this; none where there is none."""
    return [offer for offer in backend.offers() if capability in offer.model.capabilities][:1]


def _finished(chunks: list[Any]) -> int:
    """How many choices ended."""
    return sum(choice.get("finish_reason") is not None for chunk in chunks for choice in chunk["choices"])


async def _error(backend: Backend, job: Job) -> Exception | None:
    """What a job raises."""
    try:
        await _chunks(backend, job)
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 - the caller judges it
        return error
    return None


async def _until_idle(backend: Backend, offer: Offer) -> None:
    """The offer's slots are free again: as load() tells, and as a new job finds."""
    async with _within(CANCEL_S, "load() soon shows that a slot is free again"):
        while (load := backend.load().get(offer.id)) is not None and load.busy:  # noqa: ASYNC110 - the port has no event
            await asyncio.sleep(0.01)
    try:
        await _chunks(backend, job_for(offer))
    except BackendError as error:
        raise AssertionError(f"a slot that was given back takes a new job, and does not raise {error!r}") from error


@asynccontextmanager
async def _within(seconds: float, promise: str) -> AsyncGenerator[None, None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise AssertionError(f"{promise}; it did not within {seconds:g} s") from None


Check = Callable[[Backend], Awaitable[None]]
CHECKS: list[Check] = [
    check_name,
    check_offers,
    check_load,
    check_nodes,
    check_node_setup,
    check_answer,
    check_completion,
    check_embeddings,
    check_concurrent,
    check_close,
    check_cancel,
    check_unknown_offer,
    check_refused,
]


class BackendContract:
    """Subclass it in a test file, and give the async fixture `backend`: started, with a chat model on offer."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(self, check: Check, backend: Backend) -> None:
        """One promise of the port."""
        await check(backend)
