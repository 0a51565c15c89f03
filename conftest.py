"""What every test may use: a live server over a fresh database, with whatever plugins the test brings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen
from openai import OpenAI

from lightphon_core import log
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.plugins import Source
from lightphon_core.settings import LimitSettings, LogSettings, Settings
from lightphon_core.testing import LiveServer


@frozen
class Running:
    """A live server, and one credential of each kind that it accepts."""

    server: LiveServer
    api_key: str = field(repr=False)
    agent_token: str = field(repr=False)
    node_token: str = field(repr=False)
    clients: ExitStack = field(repr=False)

    @property
    def url(self) -> str:
        return self.server.url

    def openai(self, **options: Any) -> OpenAI:
        """The official client, without retries unless told; closed when the server ends, not when it is forgotten."""
        given = {"base_url": f"{self.url}/v1", "api_key": self.api_key, "max_retries": 0, "timeout": 60, **options}
        return self.clients.enter_context(OpenAI(**given))


StartServer = Callable[..., Running]
RunServer = Callable[..., AbstractContextManager[Running]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crashes", type=int, default=10, help="How often test_crashes.py kills the server.")
    parser.addoption("--churn-seconds", type=float, default=60, help="How long test_churn.py lets nodes come and go.")


@pytest.fixture(autouse=True, scope="session")
def _log_as_in_production() -> None:
    """structlog's own default would print local variables, prompts among them."""
    log.configure(LogSettings(level="debug"))


@pytest.fixture(autouse=True)
def _log_stays_as_in_production() -> Iterator[None]:
    """Whoever takes the root logger over takes it from all tests that follow. A Litestar without `logging_config=None`
    does so by being made, and its thread writes the lines later than they are looked for."""
    yield
    others = [each for each in logging.getLogger().handlers if type(each).__module__.split(".")[0] != "_pytest"]
    assert [type(each).__module__ for each in others] == [log.__name__], f"Something else logs, too: {others}"


@pytest.fixture(autouse=True, scope="session")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What nodes keep between runs is the tests' own, and they listen where no other node does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTPHON_NODE_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def run_server() -> RunServer:
    """`with run_server(data_dir, *plugin_sources, limits={...}, environ={...}, **settings) as running:`"""

    @contextmanager
    def run(
        data_dir: Path,
        *sources: Source,
        limits: dict[str, Any] | None = None,
        environ: dict[str, str] | None = None,
        **settings: Any,
    ) -> Iterator[Running]:
        made = evolve(Settings(data_dir=data_dir), limits=LimitSettings(**(limits or {})), **settings)
        with LiveServer(made, sources=sources, environ=environ) as server:
            with server.database.transaction() as connection:
                account = create_account(connection, "test", now=time.time())
                secrets = [create_credential(connection, account, kind, now=time.time())[1] for kind in Kind]
            with ExitStack() as clients:
                yield Running(server, *secrets, clients)

    return run


@pytest.fixture
def start_server(run_server: RunServer, tmp_path: Path) -> Iterator[StartServer]:
    """`start_server(*plugin_sources, limits={...}, **settings)` runs a server until the test ends."""
    with ExitStack() as stack:
        yield lambda *sources, **settings: stack.enter_context(run_server(tmp_path / "data", *sources, **settings))
