"""What the public API guide is tested with: a live server and a node, and the guide's blocks with nothing changed but
host, key and token. docs/guide-conformance.md lists what the guide promises, and which test shows it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from lightphon_backend_gguf.protocol import codec
from lightphon_backend_gguf.protocol.messages import SUBPROTOCOL, Hello, ModelFacts, OfferMessage, Offers
from lightphon_backend_gguf.testing import scripted
from websockets.sync.client import connect
from websockets.typing import Subprotocol

HOST = "https://lightphon.com"
MODEL = "Qwen/Qwen2.5-Coder-14B-Instruct-GGUF"
TOKEN = "<your-token>"
KEYS = ("your-api-key-here", "your-api-key", "your-key", "<api-key>", "lp_abc123def456...")

Adapted = Callable[..., str]


@pytest.fixture(scope="session")
def network(run_system: Any) -> Iterator[Any]:
    """One node with one model, which has the id that the guide's examples show, and says `answer`."""
    with run_system() as system:
        system.start_node(("greeting", MODEL))
        yield system


@pytest.fixture(scope="session")
def model() -> str:
    """The id of the network's only model."""
    return MODEL


@pytest.fixture(scope="session")
def answer() -> str:
    """What that model says to everything."""
    return scripted.GREETING.text


@pytest.fixture(scope="session")
def shelf(network: Any, until: Any) -> Callable[..., AbstractContextManager[None]]:
    """`with shelf(*models):` a second node offers these. It is asked for nothing: it has no engine."""

    @contextlib.contextmanager
    def shelf(*models: ModelFacts) -> Iterator[None]:
        address = f"{network.url.replace('http', 'ws')}/api/node-link"
        headers = {"authorization": f"Bearer {network.running.node_token}"}
        before = len(network.seen())
        with connect(address, additional_headers=headers, subprotocols=[Subprotocol(SUBPROTOCOL)]) as link:
            link.send(codec.encode(Hello("shelf", "test/1")))
            link.send(codec.encode(Offers(tuple(OfferMessage(each.id, each, slots=1) for each in models))))
            until(lambda: len(network.seen()) == before + len(models))
            yield
        until(lambda: len(network.seen()) == before)

    return shelf


@pytest.fixture(scope="session")
def adapted(network: Any) -> Adapted:
    """`adapted(block)` is a block of the guide for the network, or for the `host`, `key` and `token` given."""

    def adapted(block: str, *, host: str = network.url, key: str = network.api_key, token: str | None = None) -> str:
        block = block.replace(HOST, host).replace(TOKEN, token or network.running.agent_token)
        for placeholder in KEYS:
            block = block.replace(placeholder, key)
        return block

    return adapted


@pytest.fixture(scope="session")
def run_python() -> Callable[[str], str]:
    """`run_python(program)` runs it here, and returns what it prints."""

    def run(program: str) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "<guide>", "exec"), {})
        return printed.getvalue()

    return run


@pytest.fixture(scope="session")
def run_shell() -> Callable[[str], str]:
    """`run_shell(script)` runs it in bash, and returns what it prints."""

    def run(script: str) -> str:
        environ = {**os.environ, "no_proxy": "*"}
        return subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True, env=environ
        ).stdout

    return run


@pytest.fixture(scope="session")
def fits() -> Callable[[Any, Any], bool]:
    """`fits(example, found)`: whether every member of the guide's example is there, with a value of its type."""

    def fits(example: Any, found: Any) -> bool:
        match example:
            case dict():
                return isinstance(found, dict) and all(
                    name in found and fits(value, found[name]) for name, value in example.items()
                )
            case list():
                return isinstance(found, list) and len(found) == len(example) and all(map(fits, example, found))
            case _:
                return type(found) is type(example)

    return fits
