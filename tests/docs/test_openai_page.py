"""docs/openai.md: its examples run, and its tables name every route and every error there is."""

import re
from pathlib import Path

import httpx
import pytest

from lightphon_core import Capability, Model
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.web import inference

PAGE = (Path(__file__).parents[2] / "docs" / "openai.md").read_text("utf-8")
EXAMPLES = re.findall(r"^curl .*", PAGE, re.MULTILINE)


@pytest.fixture
def values(start_server):
    running = start_server(plugin_of(ScriptedBackend(says("x"), models=[Model("all", frozenset(Capability), 4096)])))
    return {"URL": running.url, "KEY": running.api_key}


def test_the_examples_work(values, request_of):
    done = set()
    for line in EXAMPLES:
        method, url, headers, body = request_of(line, values)
        answer = httpx.request(method, url, headers=headers, content=body, timeout=30)
        assert answer.status_code == 200, (line, answer.text)
        done.add(f"{method} {httpx.URL(url).path}")
    assert done == {f"POST {path}" for path in routes()}


def routes():
    return {path for handler in inference.ROUTES for path in handler.paths if path.startswith("/v1/")}


def test_the_table_has_every_route():
    assert set(re.findall(r"^\| `POST (/v1/[^`]*)` \|", PAGE, re.MULTILINE)) == routes()
