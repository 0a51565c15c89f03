"""The backend suite passes a backend that keeps its promises, and each check catches one that breaks its own."""

import asyncio
import json
import shlex
from collections.abc import AsyncGenerator

import pytest
from attrs import evolve

from lightphon_core import (
    MODEL_HERE,
    TOKEN_HERE,
    BackendError,
    Capability,
    ConnectedNode,
    Job,
    Load,
    Model,
    Node,
    NodeSetup,
    NodeState,
    Overloaded,
    Refused,
)
from lightphon_core.testing import BackendContract, ScriptedBackend, backend
from lightphon_core.testing.backend import TEXTS
from lightphon_core.testing.scripted import chunk, event, says, text_chunk, usage, vectors_of


async def obedient(job: Job) -> AsyncGenerator[bytes, None]:
    """Says as many words as were asked for."""
    body = json.loads(job.body)
    if not isinstance(body["messages"], list):
        raise Refused("'messages' must be a list.")
    yield chunk({"role": "assistant"})
    for _ in range(job.max_output_tokens):
        yield chunk({"content": "word "})
        await asyncio.sleep(0)
    yield chunk(finish="length") + usage(3, job.max_output_tokens) + event("[DONE]")


async def everything(job: Job) -> AsyncGenerator[bytes, None]:
    """Whatever it is asked for."""
    async for part in (obedient if job.path == "/v1/chat/completions" else says("word", "word"))(job):
        yield part


class TestScriptedBackend(BackendContract):
    @pytest.fixture
    async def backend(self):
        return ScriptedBackend(obedient, slots=3)


class TestEverything(BackendContract):
    """A model that writes plain text, and makes vectors, too."""

    @pytest.fixture
    async def backend(self):
        return ScriptedBackend(everything, models=[Model("all", frozenset(Capability))])


class TestOneSlot(BackendContract):
    @pytest.fixture
    async def backend(self):
        return ScriptedBackend(obedient, slots=1)


class Broken(ScriptedBackend):
    """What the subclasses break."""

    def __init__(self, reply=obedient) -> None:
        super().__init__(reply, slots=2)


def saying(*parts: bytes) -> Broken:
    async def reply(job: Job) -> AsyncGenerator[bytes, None]:
        for part in parts:
            yield part
            await asyncio.sleep(0)

    return Broken(reply)


def able(*parts: bytes) -> Broken:
    """Offers everything, and answers everything with this."""
    broken = saying(*parts)
    broken.models = [Model("all", frozenset(Capability))]
    return broken


class NamedBadly(Broken):
    def __init__(self, name) -> None:
        super().__init__()
        self.name = name


class OffersWrongly(Broken):
    def __init__(self, **changes) -> None:
        super().__init__()
        self._changes = changes

    def offers(self):
        return [evolve(offer, **self._changes) for offer in super().offers()]


class OffersTwice(Broken):
    def offers(self):
        return [*super().offers(), *super().offers()]


class OffersStrings(Broken):
    def offers(self):
        return ["test-model"]


class OffersChangeBetweenReadings(Broken):
    reading = 0

    def offers(self):
        self.reading += 1
        return [evolve(offer, slots=self.reading) for offer in super().offers()]


class LoadsWrongly(Broken):
    def __init__(self, load) -> None:
        super().__init__()
        self._wrong = load

    def load(self):
        return self._wrong


class KnowsNodes(Broken):
    def __init__(self, *nodes) -> None:
        super().__init__()
        self._nodes = nodes

    def nodes(self):
        return self._nodes


class SetsUp(Broken):
    """Says what a good backend says, but for `more`; None of it is a setup."""

    def __init__(self, **more) -> None:
        super().__init__()
        self._more = more

    async def node_setup(self, server):
        command = f"TOKEN={TOKEN_HERE} node {shlex.quote(server)} {MODEL_HERE}"
        said = NodeSetup("A box", "Serves.", ["A box."], command, models=["m"], more="/download")
        return evolve(said, **self._more)


class SetsUpBadly(SetsUp):
    def __init__(self, answer) -> None:
        super().__init__()
        self._answer = answer

    async def node_setup(self, server):
        return self._answer(server)


class YieldsText(Broken):
    async def serve(self, job):
        async for part in super().serve(job):
            yield part.decode()


class NeverEnds(Broken):
    async def serve(self, job):
        async for part in super().serve(job):
            yield part
        await asyncio.Event().wait()


class MixesJobs(Broken):
    """Two jobs share one answer."""

    def __init__(self) -> None:
        super().__init__()
        self._shared = None

    async def serve(self, job):
        if self._shared is None:
            self._shared = super().serve(job)
        while True:
            try:
                part = await self._shared.__anext__()
            except StopAsyncIteration:
                return
            except RuntimeError:  # the other job is reading just now
                await asyncio.sleep(0)
                continue
            yield part


class IgnoresClose(Broken):
    async def serve(self, job):
        async for part in super().serve(job):
            try:
                yield part
            except GeneratorExit:
                await asyncio.Event().wait()


class YieldsAfterClose(Broken):
    async def serve(self, job):
        async for part in super().serve(job):
            try:
                yield part
            except GeneratorExit:
                yield b"more"


class KeepsTheSlot(Broken):
    """Says that it is idle, but what was closed still runs."""

    def load(self):
        return {}

    async def serve(self, job):
        work = super().serve(job)
        self.kept = [*getattr(self, "kept", []), work]
        while True:
            try:
                part = await anext(work)
            except StopAsyncIteration:
                return
            yield part


class StaysBusy(Broken):
    def load(self):
        return {"scripted/test-model": Load(busy=len(self.jobs))}


class SwallowsCancellation(Broken):
    async def serve(self, job):
        if job.max_output_tokens < 1000:
            async for part in super().serve(job):
                yield part
            return
        try:
            await asyncio.Event().wait()
            yield b""
        except asyncio.CancelledError:
            return


class OutlastsCancellation(Broken):
    async def serve(self, job):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.Event().wait()
            yield b""


class ServesWhatItDoesNotOffer(Broken):
    async def serve(self, job):
        async for part in super().serve(evolve(job, offer_id="scripted/test-model")):
            yield part


class RaisesItsOwn(Broken):
    async def serve(self, job):
        try:
            async for part in super().serve(job):
                yield part
        except BackendError:
            raise KeyError(job.offer_id) from None


class CallsEverythingOverload(Broken):
    async def serve(self, job):
        try:
            async for part in super().serve(job):
                yield part
        except BackendError:
            raise Overloaded("Later.") from None


class RefusesWithoutAWord(Broken):
    async def serve(self, job):
        raise Refused("")
        yield b""


def unquoted(server):
    return NodeSetup("A box", "Serves.", [], f"T={TOKEN_HERE} node {server}")


OWN = Node("scripted-node", "scripted-node")
ROLE, WORD, END, COUNT = chunk({"role": "assistant"}), chunk({"content": "word"}), chunk(finish="stop"), usage(1, 1)

BROKEN = [
    ("name", lambda: NamedBadly(None), "name is a string"),
    ("name", lambda: NamedBadly("my backend"), "one plain word"),
    ("offers", OffersTwice, "ids are unique"),
    ("offers", OffersStrings, "returns Offers"),
    ("offers", OffersChangeBetweenReadings, "snapshot"),
    ("offers", lambda: OffersWrongly(slots=0), "at least one slot"),
    ("offers", lambda: OffersWrongly(node=Node("n", "Grüße")), "not safe in a header"),
    ("offers", lambda: OffersWrongly(node=Node("n", "a\nb")), "not printable"),
    ("load", lambda: LoadsWrongly({"other": Load()}), "not offered"),
    ("load", lambda: LoadsWrongly({"scripted/test-model": 1}), "returns Loads"),
    ("load", lambda: LoadsWrongly({"scripted/test-model": Load(busy=-1)}), "busy slots"),
    ("load", lambda: LoadsWrongly({"scripted/test-model": Load(queued=-1)}), "queued requests"),
    ("nodes", lambda: KnowsNodes(OWN), "returns ConnectedNodes"),
    ("nodes", lambda: KnowsNodes(ConnectedNode(OWN, "online")), "is a NodeState"),
    ("nodes", lambda: KnowsNodes(ConnectedNode(OWN), ConnectedNode(OWN)), "twice"),
    ("nodes", lambda: KnowsNodes(ConnectedNode(Node("n", "n"))), "does not have it"),
    ("nodes", lambda: KnowsNodes(ConnectedNode(OWN, NodeState.PAUSED)), "paused offers nothing"),
    ("node_setup", lambda: SetsUpBadly(lambda _: "node run"), "returns a NodeSetup"),
    ("node_setup", lambda: SetsUp(title=""), "has a title"),
    ("node_setup", lambda: SetsUp(summary=""), "what such a node does"),
    ("node_setup", lambda: SetsUp(command=f"node {MODEL_HERE}"), "has TOKEN_HERE once"),
    ("node_setup", lambda: SetsUp(models=[]), "where there are models"),
    ("node_setup", lambda: SetsUp(command=f"T={TOKEN_HERE} node {MODEL_HERE}"), "which server"),
    ("node_setup", lambda: SetsUp(more="https://elsewhere.example"), "path of this server"),
    ("node_setup", lambda: SetsUpBadly(unquoted), "an address is quoted"),
    ("answer", YieldsText, "yields bytes, not str"),
    ("answer", NeverEnds, "an answer ends"),
    ("answer", lambda: saying(WORD + b"data: {broken\n\n", END, COUNT), "are JSON"),
    ("answer", lambda: saying(chunk({"content": "all at once"}, finish="stop")), "several chunks"),
    ("answer", lambda: saying(ROLE, WORD, COUNT), "one finish_reason"),
    ("answer", lambda: saying(ROLE, WORD, END, END, COUNT), "one finish_reason"),
    ("answer", lambda: saying(ROLE, WORD, END), "usage"),
    ("completion", lambda: able(ROLE, WORD, END, COUNT), "output in 'text'"),
    ("completion", lambda: able(text_chunk("a"), COUNT), "one finish_reason"),
    ("completion", lambda: able(text_chunk("a"), text_chunk(finish="stop")), "usage"),
    ("embeddings", lambda: able(vectors_of(["one"])), "a vector for each text"),
    ("embeddings", lambda: able(WORD, END), "a vector for each text"),
    ("embeddings", lambda: able(b'{"error": {"message": "no"}}'), "raises its errors"),
    ("embeddings", lambda: able(vectors_of(TEXTS).replace(b"usage", b"used")), "reports usage"),
    ("concurrent", MixesJobs, "answer of its own"),
    ("close", IgnoresClose, "closed ends at once"),
    ("close", YieldsAfterClose, "yields no more"),
    ("close", KeepsTheSlot, "takes a new job"),
    ("close", StaysBusy, "free again"),
    ("cancel", SwallowsCancellation, "lets the cancellation through"),
    ("cancel", OutlastsCancellation, "cancelled ends at once"),
    ("cancel", StaysBusy, "free again"),
    ("unknown_offer", ServesWhatItDoesNotOffer, "Unavailable, not None"),
    ("unknown_offer", RaisesItsOwn, "Unavailable, not KeyError"),
    ("unknown_offer", CallsEverythingOverload, "Unavailable, not Overloaded"),
    ("refused", lambda: saying(ROLE, WORD, END, COUNT), "Refused, not None"),
    ("refused", CallsEverythingOverload, "Refused, not Overloaded"),
    ("refused", RefusesWithoutAWord, "says why"),
]


@pytest.mark.parametrize(("check", "broken", "words"), BROKEN, ids=[f"{name}-{words}" for name, _, words in BROKEN])
async def test_a_broken_promise_is_caught(check, broken, words, monkeypatch):
    # Long enough for whatever comes on a busy machine; short where the test is that nothing does.
    monkeypatch.setattr(backend, "CANCEL_S", 0.5 if "at once" in words or "free again" in words else 60.0)
    monkeypatch.setattr(backend, "PATIENCE_S", 2.0 if words == "an answer ends" else 60.0)
    with pytest.raises(AssertionError, match=words):
        await getattr(backend, f"check_{check}")(broken())


async def test_a_good_setup_passes():
    await backend.check_node_setup(SetsUp())


def test_every_check_has_something_to_catch():
    assert {f"check_{name}" for name, _, _ in BROKEN} == {check.__name__ for check in backend.CHECKS}
