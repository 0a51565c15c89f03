"""The core's own suite, against the shapes of OpenClaw and against a plain server without a key."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from lightphon_backend_openclaw.backend import HttpBackend
from lightphon_backend_openclaw.settings import InstanceSettings, Kind
from lightphon_backend_openclaw.testing.fake import FakeServer

from lightphon_core import Secret
from lightphon_core.testing import BackendContract


class TestOpenClaw(BackendContract):
    @pytest.fixture
    async def backend(self, fake: FakeServer, start_backend: Any) -> AsyncIterator[HttpBackend]:
        fake.listen()
        async with start_backend(claw=InstanceSettings(f"{fake.url}/v1", api_key=Secret(fake.key or ""))) as backend:
            assert {offer.model.owned_by for offer in backend.offers()} == {"OpenClaw"}
            yield backend


class TestPlainServer(BackendContract):
    @pytest.fixture
    def fake(self) -> Iterator[FakeServer]:
        with FakeServer(models=["owner/tiny"], key=None) as server:
            yield server.listen()

    @pytest.fixture
    async def backend(self, fake: FakeServer, start_backend: Any) -> AsyncIterator[HttpBackend]:
        async with start_backend(box=InstanceSettings(fake.url, kind=Kind.HTTP, slots=2)) as backend:
            assert (backend.name, [offer.node.name for offer in backend.offers()]) == ("http", ["box"])
            yield backend
