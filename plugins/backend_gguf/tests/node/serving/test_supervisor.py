"""A model is kept served: a scripted engine for each way to fail, and real llama.cpp that is killed or stopped."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from attrs import define, field
from lightphon_backend_gguf.node.engines.base import Engine, EngineError
from lightphon_backend_gguf.node.models.sources import LocalSource
from lightphon_backend_gguf.node.planning.locate import Located
from lightphon_backend_gguf.node.planning.plan import Planned, plan
from lightphon_backend_gguf.node.planning.wishes import Wish
from lightphon_backend_gguf.node.serving.served import Endpoint
from lightphon_backend_gguf.node.serving.supervisor import Care, Supervisor
from lightphon_backend_gguf.node.serving.traffic import Traffic
from lightphon_backend_gguf.node.serving.upstream import Upstream
from lightphon_backend_gguf.protocol.messages import JobFailed, ModelFacts, OfferMessage

LOG: Any = structlog.get_logger()
OFFER = OfferMessage(id="m", model=ModelFacts(id="m", capabilities=("completion",)), slots=2)
QUICK = Care(benchmark_s=1.0, probe_every_s=0.01, probe_timeout_s=0.3, missed_probes=3, drain_s=20, start_timeout_s=5)


class Scripted(Engine):
    """An engine that does as it is told. `end` is how it ends, once set."""

    def __init__(self, box: "Box", number: int) -> None:
        self.number = number
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._box = box

    @property
    def pid(self) -> int:
        return self.number

    async def start(self) -> Endpoint:
        self._box.loading += 1
        assert self._box.loading == 1, "two engines load at once"
        try:
            await asyncio.sleep(0)
            if (error := self._box.errors.pop(0, None)) is not None:
                raise error
            if self._box.hangs_loading:
                await asyncio.Event().wait()
        finally:
            self._box.loading -= 1
        self._box.running.add(self.number)
        return Endpoint(url=f"http://127.0.0.1:{self.number}", key="k", model="m")

    async def exited(self) -> str:
        return await self.end

    async def stop(self) -> None:
        self._box.running.discard(self.number)
        self._box.stopped.append(self.number)


class _Errors(list[EngineError | None]):
    def pop(self, _: Any = 0, default: Any = None) -> Any:
        return super().pop(0) if self else default


@define
class Box:
    """The machine that the scripted engines run on."""

    errors: _Errors = field(factory=_Errors)
    hangs_loading: bool = False
    answers: bool = True
    resident: int = 0
    loading: int = 0
    engines: list[Scripted] = field(factory=list)
    running: set[int] = field(factory=set)
    stopped: list[int] = field(factory=list)
    slept: list[float] = field(factory=list)
    gate: asyncio.Event = field(factory=asyncio.Event)
    changes: list[bool] = field(factory=list)
    news: asyncio.Condition = field(factory=asyncio.Condition)
    supervisors: list[Supervisor] = field(factory=list)
    traffic: Traffic = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.traffic = Traffic(self.post, lambda: 0.0)

    def engine(self) -> Scripted:
        self.engines.append(Scripted(self, len(self.engines) + 1))
        return self.engines[-1]

    async def post(
        self, endpoint: Endpoint, path: str, body: bytes, *, timeout_s: float
    ) -> AsyncGenerator[bytes, None]:
        if endpoint.url.rpartition(":")[2] not in map(str, self.running):
            raise JobFailed("unavailable", "gone")
        yield b"data: {}\n\n"
        if b"wait" in body:
            await self.gate.wait()
            yield b"data: {}\n\n"

    async def alive(self, endpoint: Endpoint, *, timeout_s: float) -> bool:
        return self.answers

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def changed(self) -> None:
        self.changes.append(self.supervisors[0].served is not None)

    def supervisor(self, lock: asyncio.Lock | None = None, **planned: Any) -> Supervisor:
        supervisor = Supervisor(
            Planned(OFFER, self.engine, **planned),
            traffic=self.traffic,
            alive=self.alive,
            loading=lock or asyncio.Lock(),
            changed=self.changed,
            log=LOG,
            care=QUICK,
            clock=lambda: 0.0,
            sleep=self.sleep,
            random=lambda: 1.0,
            resident=lambda pid: self.resident,
        )
        self.supervisors.append(supervisor)
        return supervisor

    @asynccontextmanager
    async def supervised(self, **planned: Any) -> AsyncGenerator[Supervisor, None]:
        supervisor = self.supervisor(**planned)
        running = asyncio.create_task(supervisor.run())
        try:
            yield supervisor
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert not self.running, "an engine outlived its supervisor"
        assert supervisor.served is None


async def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.fixture
def box() -> Box:
    return Box()


async def test_an_engine_that_ends_is_started_again_and_is_not_offered_meanwhile(box: Box) -> None:
    async with box.supervised() as supervisor:
        for number in (1, 2, 3):
            await until(lambda number=number: box.running == {number} and supervisor.served)
            assert supervisor.served is not None
            assert supervisor.served.endpoint.url.endswith(f":{number}")
            box.engines[-1].end.set_result("it crashed")
        await until(lambda: box.running == {4} and supervisor.served)
        assert box.changes == [True, False, True, False, True, False, True]
        assert box.slept == [1, 2, 4]
        assert box.stopped == [1, 2, 3]


async def test_a_model_whose_starts_all_fail_is_given_up_with_the_last_reason(box: Box) -> None:
    box.errors.extend(EngineError(f"reason {number}") for number in range(1, 6))
    supervisor = box.supervisor()
    assert str(await supervisor.run()) == "reason 5"
    assert (box.slept, box.stopped, box.changes) == ([1, 2, 4, 8], [1, 2, 3, 4, 5], [])
    assert supervisor.settled.is_set()


async def test_a_refusal_ends_it_at_once_but_not_after_it_ran(box: Box) -> None:
    box.errors.append(EngineError("corrupt", lasting=True))
    assert str(await box.supervisor().run()) == "corrupt"
    assert box.slept == []
    box.supervisors.clear()
    box.errors.extend([None, EngineError("no room", lasting=True), EngineError("no room", lasting=True)])
    async with box.supervised() as supervisor:
        await until(lambda: supervisor.served)
        box.engines[-1].end.set_result("it crashed")
        await until(lambda: len(box.engines) == 5 and supervisor.served)


async def test_an_engine_that_dies_or_is_mute_after_loading_never_ran(box: Box) -> None:
    box.answers = False
    assert str(await box.supervisor().run()) == "m does not run: the engine does not answer."
    assert (len(box.engines), box.stopped, box.changes) == (5, [1, 2, 3, 4, 5], [])


async def test_an_engine_that_hangs_while_loading_holds_the_others_up_only_for_so_long(box: Box) -> None:
    lock = asyncio.Lock()
    stuck = Box(hangs_loading=True)
    first, second = stuck.supervisor(lock), box.supervisor(lock)
    first._care = Care(start_timeout_s=0.05)
    tasks = [asyncio.create_task(first.run()), asyncio.create_task(second.run())]
    await until(lambda: second.served)
    assert "was not loaded within 0.05 s" in str(await tasks[0])
    assert stuck.stopped == [1, 2, 3, 4, 5]
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)


async def test_an_engine_that_answers_no_probe_is_restarted_unless_a_job_gets_something(box: Box) -> None:
    async with box.supervised() as supervisor:
        await until(lambda: supervisor.served)
        assert supervisor.served is not None
        meter = box.traffic._meters[supervisor.served.endpoint]
        box.answers = False
        for _ in range(300):
            meter.heard += 1
            await asyncio.sleep(0.001)
        assert box.running == {1}, "an engine at work was restarted"
        await until(lambda: box.running != {1})
        box.answers = True
        await until(lambda: supervisor.served and supervisor.served.endpoint.url.endswith(str(max(box.running))))


async def test_an_engine_that_leaks_finishes_its_jobs_first(box: Box) -> None:
    box.resident = 500
    async with box.supervised(memory_limit=1000) as supervisor:
        await until(lambda: supervisor.served)
        assert supervisor.served is not None
        endpoint = supervisor.served.endpoint
        job = box.traffic.post(endpoint, "/", b"wait", timeout_s=9)
        assert await anext(job)
        box.resident = 1001
        await until(lambda: supervisor.served is None)
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert box.running == {1}, "the job was cut off"
        box.gate.set()
        assert [part async for part in job] == [b"data: {}\n\n"]
        box.resident = 500
        await until(lambda: supervisor.served and box.running == {2})


async def test_what_an_engine_holds_from_the_start_is_no_leak(box: Box) -> None:
    box.resident = 2**40
    async with box.supervised(memory_estimate=2**30) as supervisor:
        await until(lambda: supervisor.served)
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert supervisor.served is not None
        box.resident = 2 * 2**40
        await until(lambda: 1 in box.stopped)


async def test_the_digest_is_told_with_what_is_served_and_after_each_restart(box: Box) -> None:
    async with box.supervised() as supervisor:
        await until(lambda: supervisor.served)
        supervisor.tell_sha256("a" * 64)
        assert supervisor.served is not None
        assert supervisor.served.offer.model.sha256 == "a" * 64
        assert box.changes == [True, True]
        box.engines[-1].end.set_result("it crashed")
        await until(lambda: box.running == {2} and supervisor.served)
        assert supervisor.served.offer.model.sha256 == "a" * 64


@asynccontextmanager
async def llama(paths: Sequence[Path]) -> AsyncGenerator[tuple[list[Supervisor], Traffic], None]:
    """Real engines under supervisors."""
    located = [
        Located(Wish(LocalSource(path), name, slots=2, context=2**16), path, name)
        for path, name in zip(paths, ("a", "b"), strict=False)
    ]
    async with Upstream() as upstream:
        traffic = Traffic(upstream.post, asyncio.get_running_loop().time)
        loading = asyncio.Lock()
        supervisors = [
            Supervisor(
                planned,
                traffic=traffic,
                alive=upstream.alive,
                loading=loading,
                changed=lambda: None,
                log=LOG,
                care=QUICK,
                random=lambda: 0.0,
            )
            for planned in await plan(located, threads=1)
        ]
        tasks = [asyncio.create_task(supervisor.run()) for supervisor in supervisors]
        try:
            await until(lambda: all(supervisor.served for supervisor in supervisors))
            yield supervisors, traffic
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def children() -> list[int]:
    """The engines of this process, oldest first."""
    pids = [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    return sorted(pid for pid in pids if "llamacpp_worker" in Path(f"/proc/{pid}/cmdline").read_text())


def chat(supervisor: Supervisor, traffic: Traffic) -> AsyncGenerator[bytes, None]:
    assert supervisor.served is not None
    body = {
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
    }
    return traffic.post(supervisor.served.endpoint, "/v1/chat/completions", json.dumps(body).encode(), timeout_s=30)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_llama_cpp_that_is_killed_or_stopped_comes_back_and_the_other_model_serves_on(
    number: signal.Signals, models: Path
) -> None:
    async with llama([models / "endless.gguf", models / "greeting.gguf"]) as ((hit, other), traffic):
        victim, bystander = children()
        endpoint = hit.served and hit.served.endpoint
        job = chat(hit, traffic)
        assert await anext(job)
        os.kill(victim, number)
        await until(lambda: hit.served is None)
        with pytest.raises(JobFailed) as failed:
            async for _ in job:
                pass
        assert failed.value.kind == "unavailable"
        answer = b"".join([part async for part in chat(other, traffic)])
        assert answer.endswith(b"data: [DONE]\n\n")
        await until(lambda: hit.served)
        assert hit.served is not None
        assert hit.served.endpoint != endpoint
        await anext(again := chat(hit, traffic))
        await again.aclose()
        assert bystander in children()
        assert victim not in children()


async def test_llama_cpp_is_measured_before_it_is_offered_and_by_each_job(models: Path) -> None:
    async with llama([models / "endless.gguf"]) as ((supervisor,), traffic):
        assert supervisor.served is not None
        speed = supervisor.served.speed
        first = speed.decode
        assert first is not None
        assert speed.prompt is not None
        assert first > 1
        async for _ in chat(supervisor, traffic):
            break
        job = chat(supervisor, traffic)
        for _ in range(20):
            await anext(job)
        await job.aclose()
        assert speed.decode not in (None, first)
