"""/download in a browser: the same commands, in the frame of the web app."""

import html
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from lightphon_backend_gguf.hub.wheel import installed_wheel
from lightphon_backend_gguf.plugin import Gguf

from lightphon_core.plugins import Source
from lightphon_core.settings import ServerSettings

BROWSERS = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def page(start_server: Any) -> Callable[..., Any]:
    """`page(**settings)`: what a browser gets, and its headers."""

    async def ask(**server: Any) -> tuple[str, Any]:
        running = start_server(Source("gguf", "tests", "0", lambda: Gguf), server=ServerSettings(**server))
        headers = {"accept": BROWSERS}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{running.url}/download", headers=headers) as answer,
        ):
            assert answer.status == 200
            return await answer.text(), answer.headers

    return ask


async def test_it_has_the_commands_the_hash_and_the_frame(page: Any) -> None:
    text, headers = await page()
    assert headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert '<nav class="menu"' in text
    wheel = installed_wheel()
    assert f"{wheel.name}#sha256={wheel.sha256}" in html.unescape(text)
    assert "LIGHTPHON_NODE_TOKEN" in text
    for section in ("What it takes", "What a node sees", "What it earns", "How to stop"):
        assert section in text


async def test_the_address_is_the_one_that_the_operator_gave(page: Any) -> None:
    text, _ = await page(public_url="https://gateway.example")
    assert "run --server https://gateway.example hf:" in text
