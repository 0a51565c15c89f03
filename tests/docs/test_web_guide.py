"""/guide: its examples are answered as it says, its paths are there, and it names no other host."""

import contextlib
import html
import io
import json
import re

import httpx
import pytest

from lightphon_core import Model
from lightphon_core.settings import ServerSettings
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import Capability
from lightphon_core.web.pages.guide import examples

KEY, TOKEN = "your-api-key", "<your-token>"
ELSEWHERE = "https://gateway.example"
ABLE = frozenset({Capability.CHAT, Capability.COMPLETION, Capability.JSON, Capability.TOOLS})
MODEL = Model("qwen/Qwen3-8B-GGUF", ABLE, 32768, "qwen", 8.19, "Q4_K_M")
CLIENTS_OF_OTHERS = ("langchain_openai",)
"""Run where they are installed: the same blocks are in docs/clients.md."""


@pytest.fixture(scope="module")
def running(run_server, tmp_path_factory):
    source = plugin_of(ScriptedBackend(says("Hel", "lo!"), models=[MODEL]))
    with run_server(tmp_path_factory.mktemp("guide"), source) as running:
        yield running


def guide(running) -> str:
    answer = httpx.get(f"{running.url}/guide", headers={"accept": "text/html"})
    assert answer.status_code == 200
    return answer.text


def code(page: str) -> list[tuple[str, str]]:
    """Every example: its language, and its text."""
    found = re.findall(r'<code id="[^"]*" data-language="([^"]*)">(.*?)</code>', page, re.DOTALL)
    return [(language, html.unescape(re.sub(r"<[^>]*>", "", text))) for language, text in found]


def filled(running, text: str) -> str:
    return text.replace(KEY, running.api_key).replace(TOKEN, running.agent_token)


def test_no_other_host_is_named(running, start_server):
    hosts = r"(?:https?|wss?)://[^/\s\"'<&]+"
    assert set(re.findall(hosts, guide(running))) == {running.url}
    behind = start_server(server=ServerSettings(public_url=ELSEWHERE))
    assert set(re.findall(hosts, guide(behind))) == {ELSEWHERE}


def test_every_path_is_there(running):
    page = guide(running)
    text = html.unescape(re.sub(r"<[^>]*>", " ", page))
    asked = {("GET", path) for path in re.findall(r'href="(/[^"#]*)"', page) if not path.startswith("/assets/")}
    asked |= set(re.findall(r"\b(GET|POST) (/[\w/{}-]*)", text))
    asked |= {("POST", path) for path in re.findall(re.escape(running.url) + r"(/[^\s\"'`]*/completions)", text)}
    assert {("GET", "/schema"), ("POST", "/api/models/route"), ("GET", "/v1/models/{id}")} <= asked
    assert len([each for each in asked if each[0] == "POST"]) >= 5
    authorization = {"authorization": f"Bearer {running.api_key}"}
    for method, path in sorted(asked):
        path = filled(running, path.replace("{id}", MODEL.id))
        answer = httpx.request(
            method, running.url + path, headers=authorization, content="{}" if method == "POST" else None
        )
        assert answer.status_code != 404, (method, path)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the page's clients are not closed
def test_the_programs_run(running):
    ran = 0
    for language, text in code(guide(running)):
        if language != "python" or any(name in text for name in CLIENTS_OF_OTHERS):
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(filled(running, text), "<guide>", "exec"), {"__name__": "__main__"})
        assert printed.getvalue().startswith("Hello!")
        ran += 1
    assert ran == 4


def test_the_requests_are_answered(running, request_of):
    paths = set()
    for language, text in code(guide(running)):
        if language != "sh" or not text.startswith("curl "):
            continue
        line = filled(running, text).replace("curl -N", "curl").replace("\\\n", " ")
        method, url, headers, body = request_of(line, {})
        answer = httpx.request(method, url, headers=headers, content=body, timeout=30)
        assert answer.status_code == 200, (text, answer.text)
        paths.add(f"{method} {httpx.URL(url).path}")
    assert paths == {"POST /v1/chat/completions", "POST /api/models/route", "GET /v1/models", "GET /api/wallet"}


def test_the_answers_have_what_is_shown(running, request_of):
    """Every member, of the same type; and of an answer nothing more."""

    def sent(text):
        line = filled(running, text).replace("curl -N", "curl").replace("\\\n", " ")
        method, url, headers, body = request_of(line, {})
        return httpx.request(method, url, headers=headers, content=body, timeout=30)

    assert shape(sent(examples.chat_request(running.url)).json()) == shape(json.loads(examples.chat_answer()))
    assert events(sent(examples.stream_request(running.url)).text) == events(examples.stream_answer())
    entry = json.loads(examples.model_entry())
    listed = next(each for each in sent(examples.models_request(running.url)).json()["data"] if each["id"] == MODEL.id)
    assert shape(entry) == shape({name: listed[name] for name in entry})
    unknown = examples.first_request(running.url).replace('"auto"', '"gpt-5"')
    error = sent(unknown).json()["error"]
    shown = json.loads(examples.error_answer())["error"]
    assert {**error, "message": ""} == {**shown, "message": ""}
    assert candidates(sent(examples.route_request(running.url)).json()) == [MODEL.id]


def candidates(answer):
    return [each["model"] for each in answer["candidates"]]


def shape(value):
    """The names and types of a JSON value, all the way down. Numbers are one type."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return float if type(value) is int else type(value)


def events(text):
    """The shape of each event of a stream, and how it ends."""
    *chunks, done = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [*(shape(json.loads(chunk)) for chunk in chunks), done]
