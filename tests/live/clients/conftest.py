"""What clients are tested with: docs/clients.md, whose blocks are run as they stand there but for host, key, token and
the embedding model's name, and servers with a node whose models say what is known beforehand."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lightphon_backend_gguf.testing import scripted

PAGE = (Path(__file__).parents[3] / "docs" / "clients.md").read_text("utf-8")
EMBEDDER = "embedder"
PLACEHOLDERS = {
    "https://lightphon.com": lambda system: system.url,
    "your-api-key": lambda system: system.api_key,
    "<your-token>": lambda system: system.running.agent_token,
    "your-embedding-model": lambda system: EMBEDDER,
}

Blocks = Callable[[str, str], list[str]]


@pytest.fixture(scope="session")
def blocks() -> Blocks:
    """`blocks(section, language)` are the page's, as they stand there; language "" is any, of all kinds."""

    def blocks(section: str, language: str) -> list[str]:
        text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
        kind = re.escape(language) if language else r"\w+"
        return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)

    return blocks


@pytest.fixture(scope="session")
def sections() -> list[str]:
    """The page's, in order."""
    return re.findall(r"^## (.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="session")
def adapted() -> Callable[[Any, str], str]:
    """`adapted(system, block)` is the block for this system."""

    def adapted(system: Any, block: str) -> str:
        for placeholder, value in PLACEHOLDERS.items():
            block = block.replace(placeholder, value(system))
        return block

    return adapted


@pytest.fixture(scope="session")
def run_python() -> Callable[[str], str]:
    """Runs Python here, and returns what it printed."""

    def run(block: str) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "<page>", "exec"), {"__name__": "__main__"})
        return printed.getvalue()

    return run


@pytest.fixture(scope="session")
def run_program() -> Callable[..., str]:
    """`run(command, **options)` runs a program, which must end well, and returns what it printed."""

    def run(*command: str | Path, env: dict[str, str] | None = None, **options: Any) -> str:
        environ = {**os.environ, "no_proxy": "*", **(env or {})}
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=environ, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def library(run_system: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A node with the greeting, which is all that "auto" can be, and a model for embeddings."""
    path = tmp_path_factory.mktemp("embedder") / f"{EMBEDDER}.gguf"
    scripted.build(path, scripted.GREETING.pieces, template=None, embedding=True)
    with run_system() as system:
        system.start_node("greeting", path)
        yield system


@pytest.fixture(scope="session")
def describer(run_system: Any) -> Iterator[Any]:
    """A node whose only model answers with a city in JSON."""
    with run_system() as system:
        system.start_node("json_answer")
        yield system


@pytest.fixture(scope="session")
def caller(run_system: Any) -> Iterator[Any]:
    """A node whose only model calls get_weather."""
    with run_system() as system:
        system.start_node("tool_call")
        yield system
