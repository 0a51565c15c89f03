"""docs/plugins.md: its code is written to a package, as its reader would, and runs against a live upstream."""

import asyncio
import importlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn

from lightphon_core.errors import SettingsError
from lightphon_core.plugins import Source
from lightphon_core.settings import PluginsSettings, load, plugin_settings
from lightphon_core.testing import host_for
from lightphon_core.testing.setups import check_node_setup
from lightphon_core.types import Price
from lightphon_core.web.pages.frame.security import CONTENT_SECURITY_POLICY

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"
HELLO = [{"role": "user", "content": "Hello!"}]


def written(folder: Path) -> dict[str, str]:
    """The guide's code blocks by the file names in their first lines, written to `folder`; equal names are one file."""
    files: dict[str, str] = {}
    for block in re.findall(r"^```(?:python|toml|html)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL):
        name = block.partition("\n")[0].strip("{#} ")
        files[name] = files.get(name, "") + block
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return files


class Upstream:
    """An OpenAI-compatible server that says "word" as often as it may. `status` is what it answers with."""

    def __init__(self) -> None:
        self.status = 200
        self.open = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self._app, interface="asgi3", lifespan="off", log_config=None))
        self._thread = threading.Thread(target=self._server.run, args=[[self._listener]])
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._listener.close()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        content = b""
        while True:
            message = await receive()
            content += message["body"]
            if not message["more_body"]:
                break
        body = json.loads(content)
        status = self.status if isinstance(body["messages"], list) else 400
        await send({"type": "http.response.start", "status": status, "headers": []})
        if status != 200:
            return await send({"type": "http.response.body", "body": b"no"})
        self.open += 1
        gone = asyncio.create_task(receive())
        try:
            await send({"type": "http.response.body", "body": _event({"role": "assistant"}), "more_body": True})
            for _ in range(body["max_tokens"]):
                if gone.done():
                    return None
                await send({"type": "http.response.body", "body": _event({"content": "word "}), "more_body": True})
                await asyncio.sleep(0)
            counted = {"prompt_tokens": 3, "completion_tokens": body["max_tokens"]}
            end = _event({}, "length") + b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(counted).encode()
            return await send({"type": "http.response.body", "body": end + b"data: [DONE]\n\n"})
        finally:
            self.open -= 1
            gone.cancel()


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'up', 'choices': [choice]})}\n\n".encode()


@pytest.fixture
def upstream():
    upstream = Upstream()
    yield upstream
    upstream.stop()


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    yield written(tmp_path)
    for name in ("lightphon_http", "acme_settings", "acme_nodes", "lightphon_hello"):
        sys.modules.pop(name, None)


@pytest.fixture
def plugin(files):
    """The class, by way of the guide's entry point."""
    points = tomllib.loads(files["pyproject.toml"])["project"]["entry-points"]["lightphon"]
    ((name, value),) = points.items()
    entry = EntryPoint(name, value, "lightphon")
    return Source(name, "lightphon-http", "0", entry.load)


def test_the_guide_has_the_blocks_that_are_tested_here(files):
    assert sorted(files) == [
        "acme_nodes.py",
        "acme_settings.py",
        "lightphon.toml",
        "lightphon_acme.py",
        "lightphon_hello/__init__.py",
        "lightphon_hello/templates/hello.html",
        "lightphon_http.py",
        "pyproject.toml",
        "test_lightphon_acme.py",
        "test_lightphon_http.py",
    ]


def test_the_settings_reach_the_plugin(files, plugin, tmp_path):
    settings = load(tmp_path / "lightphon.toml", {}, data_dir=tmp_path)
    schema = plugin.load().settings
    own = plugin_settings(settings, plugin.name, schema, {})
    assert own == schema(url="http://127.0.0.1:8080", models=("llama-3.2-3b",))
    variable = {"LIGHTPHON_PLUGINS_HTTP_URL": "http://127.0.0.1:1"}
    assert plugin_settings(settings, plugin.name, schema, variable).url == "http://127.0.0.1:1"


def test_variables_of_other_names(files, tmp_path):
    schema = importlib.import_module("acme_settings").AcmeSettings
    (tmp_path / "acme.toml").write_text('[plugins.acme.servers.b]\nurl = "http://b"\nname = "B"\n')
    settings = load(tmp_path / "acme.toml", {}, data_dir=tmp_path)
    assert plugin_settings(settings, "acme", schema, {}).acme is None
    own = plugin_settings(settings, "acme", schema, {"ACME_URL": "http://a", "ACME_KEY": "hush"})
    assert (own.acme.url, own.acme.name, own.servers["b"].name) == ("http://a", "Acme", "B")
    with pytest.raises(SettingsError, match="servers has 'B', and so has ACME_NAME"):
        plugin_settings(settings, "acme", schema, {"ACME_URL": "http://a", "ACME_NAME": "B"})


def test_it_serves(start_server, plugin, upstream, tmp_path):
    tables = load(tmp_path / "lightphon.toml", {}, data_dir=tmp_path).plugins.tables
    tables = {"http": {**tables["http"], "url": upstream.url}}
    # So that nothing but its client ends an answer, and nobody waits long for an upstream that says it is full.
    limits = {"max_output_tokens": 10**9, "max_unread_bytes": 10**9, "queue_s": 1.5}
    running = start_server(plugin, plugins=PluginsSettings(tables=tables), limits=limits)
    with running.openai() as client:

        def ask(**more: Any) -> Any:
            return client.chat.completions.create(model="llama-3.2-3b", messages=HELLO, **{"max_tokens": 3, **more})

        answer = ask()
        assert answer.choices[0].message.content == "word word word "
        assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 3)
        assert answer.routing_info["backend"] == "http"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in ask(stream=True)) == "word word word "

        # A client that leaves ends the work at the upstream.
        stream = ask(stream=True, max_tokens=10**9)
        next(stream)
        stream.close()
        waited = threading.Event()
        for _ in range(1000):
            if not upstream.open:
                break
            waited.wait(0.005)
        assert upstream.open == 0

        for status, error in ((422, openai.BadRequestError), (429, openai.InternalServerError)):
            upstream.status = status
            with pytest.raises(error):
                ask()
        upstream.stop()
        with pytest.raises(openai.InternalServerError) as gone:
            ask()
        assert gone.value.status_code == 503


def test_a_page_in_the_frame(files, start_server):
    hello = Source("hello", "lightphon-hello", "0", lambda: importlib.import_module("lightphon_hello").Hello)
    running = start_server(hello)
    answer = httpx.get(running.url + "/hello", params={"name": "<b>"})
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "<h1>Hello, &lt;b&gt;</h1>" in answer.text
    assert "You are not logged in." in answer.text
    assert f"curl {running.url}/hello" in answer.text
    assert 'aria-label="Main"' in answer.text


async def test_a_page_of_a_plugin_alone_is_its_name_and_its_values():
    answer = await host_for(None).page(None, "hello.html", status=404, name="<b>", price=Price(1))
    assert answer.status_code == 404
    said = json.loads(answer.content)
    assert said == {"template": "hello.html", "values": {"name": "<b>", "price": said["values"]["price"]}}


async def test_how_a_node_is_added(files):
    backend = importlib.import_module("acme_nodes").AcmeNodes()
    await check_node_setup(backend)
    assert "acme-join" in (await backend.node_setup("https://x.example")).command


def test_its_own_tests_pass(files, upstream, tmp_path):
    """In a pytest of its own, as its author would run it."""
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("of_the_author.py").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "UPSTREAM_URL": upstream.url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^36 passed", done.stdout, re.MULTILINE), done.stdout
