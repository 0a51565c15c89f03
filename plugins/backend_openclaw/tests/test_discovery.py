"""Servers that are not there yet, are there and of no use, and come and go. Time is the test's own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import structlog
from attrs import evolve
from lightphon_backend_openclaw.conditions import Condition
from lightphon_backend_openclaw.discovery import Discovery
from lightphon_backend_openclaw.instances import Instance
from lightphon_backend_openclaw.notices import Notices
from lightphon_backend_openclaw.settings import Kind
from lightphon_backend_openclaw.testing.fake import FakeServer, error
from lightphon_backend_openclaw.upstream import NotWell, Upstream

from lightphon_core import Secret

LOG = structlog.stdlib.get_logger("lightphon.openclaw")
CLAW = Instance("claw", Kind.OPENCLAW, "http://claw.invalid")


class Steps:
    """A clock that goes on when the test says so: `passed` are the waits that were asked for, but for those between
    any two looks."""

    def __init__(self) -> None:
        self.passed: list[float] = []
        self.waiting = asyncio.Event()
        self._go_on = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.passed.append(seconds)
        self.waiting.set()
        await self._go_on.wait()
        self._go_on.clear()

    async def step(self) -> None:
        """Let one wait pass, and run on to the next one."""
        self.waiting.clear()
        self._go_on.set()
        await self.waiting.wait()


@pytest.mark.parametrize(
    ("instance", "warned"),
    [
        (CLAW, True),
        (evolve(CLAW, models=frozenset({"openclaw/answers"})), False),
        (evolve(CLAW, kind=Kind.HTTP), False),
    ],
)
def test_an_openclaw_of_which_every_agent_is_served_is_warned_of(instance, warned, caplog):
    """An agent has a shell unless told otherwise."""
    Notices(instance, LOG).begun()
    assert ["OPENCLAW_MODELS" in record.getMessage() for record in caplog.records] == [True] * warned


def listing(*names: str) -> bytes:
    return json.dumps({"data": [{"id": name} for name in names]}).encode()


def found(*answers: bytes | NotWell) -> Callable[[], object]:
    """What the server says, look by look."""
    left = list(answers)

    async def models() -> bytes:
        answer = left.pop(0)
        if isinstance(answer, NotWell):
            raise answer
        return answer

    return models


def discovery(models: object, steps: Steps, changes: list[list[str]]) -> Discovery:
    def changed() -> None:
        changes.append([offer.model.id for offer in made.offers])

    made = Discovery(
        CLAW,
        models,
        Notices(CLAW, LOG),
        changed,
        LOG,
        refresh_s=60,
        sleep=steps.sleep,  # type: ignore[arg-type]
    )
    return made


@asynccontextmanager
async def running(made: Discovery, steps: Steps) -> AsyncIterator[None]:
    task = asyncio.create_task(made.keep())
    try:
        async with asyncio.timeout(5):
            await steps.waiting.wait()
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_looks_come_quickly_until_it_is_there_and_then_each_minute() -> None:
    steps, changes = Steps(), []
    refused = NotWell(Condition.UNREACHABLE)
    made = discovery(found(refused, refused, refused, listing("a"), listing("a", "b"), listing("b")), steps, changes)
    async with running(made, steps):
        for _ in range(8):
            await steps.step()
    # One second between any two looks, and beyond that: nothing, 1, 3 (that is 1, 2, 4 in all), then 59.
    assert steps.passed == [1, 1, 1, 1, 3, 1, 59, 1, 59]
    assert changes == [["a"], ["a", "b"]]


async def test_models_vanish_and_return() -> None:
    steps, changes = Steps(), []
    silent, refused = NotWell(Condition.SILENT), NotWell(Condition.UNREACHABLE)
    said = [listing("a"), silent, silent, listing("a"), refused]
    made = discovery(found(*said), steps, changes)
    for _ in said:
        await made.look()
    assert changes == [["a"], [], ["a"], []], "one look that a busy server missed changes nothing"


async def test_what_happens_to_a_job_hastens_the_next_look() -> None:
    steps, changes = Steps(), []
    made = discovery(found(listing("a"), listing("b")), steps, changes)
    async with running(made, steps):
        await steps.step()
        assert steps.passed == [1, 59]
        steps.waiting.clear()
        made.look_soon()
        await steps.waiting.wait()
    assert changes == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("answer", "condition", "advice"),
    [
        (error(404, "Not Found", "x"), Condition.ENDPOINT_OFF, "gateway.http.endpoints.chatCompletions.enabled"),
        (error(401, "Unauthorized", "unauthorized"), Condition.KEY, "OPENCLAW_API_KEY"),
        (error(302, "x", "x", "location: http://127.0.0.1:1/"), Condition.STRANGE, "base_url"),
        (None, Condition.UNREACHABLE, "Start it"),
        (b"nonsense\r\n\r\n", Condition.SILENT, "Start it"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[[[[[", Condition.STRANGE, "base_url"),
    ],
    ids=["404", "401", "302", "refused", "nonsense", "no list"],
)
async def test_what_is_wrong_is_said_once(
    fake: FakeServer, caplog: pytest.LogCaptureFixture, answer: bytes | None, condition: Condition, advice: str
) -> None:
    if answer is not None:
        fake.listing = answer
        fake.listen()
    upstream = Upstream(fake.url, Secret(fake.key or ""))
    try:
        made = Discovery(CLAW, upstream.models, Notices(CLAW, LOG), lambda: None, LOG, refresh_s=60)
        for _ in range(3):
            await made.look()
    finally:
        await upstream.close()
    (line,) = [record.getMessage() for record in caplog.records if "of no use" in record.getMessage()]
    assert condition.value in line
    assert advice in line
    assert (fake.key or "") not in caplog.text
    assert len(fake.asked) == (0 if answer is None else 3)
