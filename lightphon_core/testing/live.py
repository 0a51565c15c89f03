"""A whole LightPhon on a free loopback port, for tests that need real sockets: ASGI test clients buffer streams."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from lightphon_core.plugins import Source
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.web.app import create_app
from lightphon_core.web.server import bind, server_for, url_of

TIMEOUT_S = 20.0

T = TypeVar("T")


class LiveServer:
    """A context manager: the server runs in a thread of its own, on its own event loop, over the database in
    `settings.data_dir`.

    `url` is its address ("http://127.0.0.1:PORT"), `gateway` what its requests share. `call(coroutine)` runs something
    on its loop.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sources: Sequence[Source] | None = None,
        environ: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self._database = Database(settings.database_url)
        migrate(self._database)
        self._app = create_app(settings, self._database, environ or {}, sources=sources)
        self._listener = bind("127.0.0.1", port)
        self._server = server_for(self._app, shutdown_grace_s=2, on_started=self._started)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="lightphon-live-server")
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self.url = url_of(self._listener)
        self.database = self._database
        self.data_dir: Path = settings.data_dir

    @property
    def gateway(self) -> Gateway:
        """What the server's requests share. Look, and touch only through `call`."""
        gateway: Gateway = self._app.state.gateway
        return gateway

    def __enter__(self) -> Self:
        self._thread.start()
        started = self._ready.wait(TIMEOUT_S)
        if not self._server.started:
            self.stop()
            raise self._failure or RuntimeError(f"the live server did not start (waited: {not started})")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop as on SIGTERM, and wait until it has. Stopping again does nothing."""
        self._server.should_exit = True
        self._thread.join(TIMEOUT_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the live server did not stop within {TIMEOUT_S} s")

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop, and wait for it."""
        assert self._loop is not None, "the server is not running"
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        try:
            await self._server.serve(sockets=[self._listener])
        except Exception as error:  # noqa: BLE001 - raised in the test's own thread
            self._failure = error
        finally:
            self._ready.set()

    def _started(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
