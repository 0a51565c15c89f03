"""One backend and its servers: slots, prices, and what nobody may learn or keep."""

import asyncio
import json
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest
from lightphon_backend_openclaw import upstream
from lightphon_backend_openclaw.backend import HttpBackend
from lightphon_backend_openclaw.instances import OWNER
from lightphon_backend_openclaw.plugin import OpenClaw
from lightphon_backend_openclaw.settings import InstanceSettings, Kind, OpenClawSettings
from lightphon_backend_openclaw.testing import fake as shapes
from lightphon_backend_openclaw.testing.fake import FakeServer

from lightphon_core import Amount, Job, Load, Offer, Overloaded, Price, Secret, TimedOut, Unavailable
from lightphon_core.testing import host_for


def claw(fake: FakeServer, **settings: Any) -> InstanceSettings:
    return InstanceSettings(fake.url, api_key=Secret(fake.key or ""), **settings)


def job(offer: Offer, **body: Any) -> Job:
    asked = {"model": offer.model.id, "messages": [{"role": "user", "content": "Hi"}], "stream": True, **body}
    return Job("job", offer.id, "/v1/chat/completions", json.dumps(asked).encode(), 16, 20)


async def read(backend: HttpBackend, offer: Offer) -> bytes:
    async with asyncio.timeout(10):
        return b"".join([part async for part in backend.serve(job(offer))])


async def test_all_models_of_a_server_share_its_slots(fake: FakeServer, start_backend: Any) -> None:
    fake.answer = shapes.hangs("Hello")
    async with start_backend(claw=claw(fake.listen(), slots=2, price=Amount(5))) as backend:
        first, second, third = backend.offers()
        assert {(each.slots, each.price, each.node.gateway) for each in backend.offers()} == {
            (2, Price(per_minute=5), "openclaw")
        }
        async with AsyncExitStack() as stack:
            for offer in (first, second):
                parts = await stack.enter_async_context(aclosing(backend.serve(job(offer))))
                assert b"Hello" in await anext(parts)
            assert set(backend.load().values()) == {Load(busy=2)}
            with pytest.raises(Overloaded):
                await read(backend, third)
        assert set(backend.load().values()) == {Load(busy=0)}
        assert len(fake.chats()) == 2


async def test_one_server_that_is_gone_leaves_the_others(fake: FakeServer, start_backend: Any) -> None:
    with FakeServer() as absent:
        instances = {"claw": claw(fake.listen()), "absent": claw(absent)}
        async with start_backend(**instances) as backend:
            assert {offer.node.name for offer in backend.offers()} == {"claw"}
            assert b"agent" in await read(backend, backend.offers()[0])


async def test_nothing_is_kept_from_one_answer_to_the_next(
    fake: FakeServer, start_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fake.answer = shapes.answers(500, "set-cookie: session=stranger; Path=/")
    async with start_backend(claw=claw(fake.listen())) as backend:
        offer = backend.offers()[0]
        for _ in range(2):
            with pytest.raises(Unavailable):
                await read(backend, offer)
    first, second = fake.chats()
    assert first.headers == second.headers
    assert "cookie" not in second.headers


async def test_an_answer_without_end_is_ended(
    fake: FakeServer, start_backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "MAX_ANSWER", 1000)
    monkeypatch.setattr(upstream, "MAX_ERROR_BODY", 20)
    fake.answer = shapes.says(*["word"] * 50)
    async with start_backend(claw=claw(fake.listen())) as backend:
        offer = backend.offers()[0]
        with pytest.raises(Unavailable, match="too large"):
            await read(backend, offer)
        fake.answer = shapes.answers(502)
        with pytest.raises(Unavailable, match="status 502"):
            await read(backend, offer)


async def test_an_answer_that_breaks_off_is_unavailable(fake: FakeServer, start_backend: Any) -> None:
    async def cut(asked: shapes.Asked, send: shapes.Send) -> None:
        await send(shapes.head(200, "text/event-stream", "content-length: 1000") + shapes.chunk("m", {"content": "a"}))

    fake.answer = cut
    async with start_backend(claw=claw(fake.listen())) as backend:
        with pytest.raises(Unavailable, match="broke off"):
            await read(backend, backend.offers()[0])


async def test_a_job_has_no_more_time_than_the_gateway_gives(fake: FakeServer, start_backend: Any) -> None:
    fake.answer = shapes.hangs("Hello")
    async with start_backend(claw=claw(fake.listen(), timeout_s=60)) as backend:
        offer = backend.offers()[0]
        hurried = Job("job", offer.id, "/v1/chat/completions", job(offer).body, 16, 0.05)
        with pytest.raises(TimedOut):
            async for _ in backend.serve(hurried):
                pass
    assert fake.hung_up.wait(5)


def test_a_backend_for_each_kind_that_there_is() -> None:
    def names(**instances: InstanceSettings) -> list[str]:
        host = host_for(OpenClawSettings(instances=instances), plugin="openclaw")
        return [backend.name for backend in OpenClaw(host).register_backends()]

    one, other = InstanceSettings("http://a"), InstanceSettings("http://b", kind=Kind.HTTP)
    assert (names(), names(a=one), names(b=other), names(a=one, b=other)) == (
        [],
        ["openclaw"],
        ["http"],
        ["openclaw", "http"],
    )
    assert OWNER == "OpenClaw"
