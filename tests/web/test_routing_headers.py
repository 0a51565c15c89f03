"""x-lightphon-node and x-lightphon-model: on whole and streamed answers, whatever nodes and models are called."""

import asyncio
import threading
from urllib.parse import unquote

import httpx
import pytest

from lightphon_core import Model
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import chunk, event, says, usage
from lightphon_core.types import Capability
from lightphon_core.web.routing_headers import LONGEST, routing_headers

HELLO = [{"role": "user", "content": "Hello!"}]
CHAT = frozenset({Capability.CHAT})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_they_say_who_served(start_server, stream):
    running = start_server(plugin_of(ScriptedBackend(says("Hi"), models=["Owner/Repo:Q4"])))
    raw = running.openai().chat.completions.with_raw_response.create(model="auto", messages=HELLO, stream=stream)
    assert raw.headers["x-lightphon-node"] == "scripted-node"
    assert raw.headers["x-lightphon-model"] == "Owner/Repo:Q4"
    answer = list(raw.parse())[-1] if stream else raw.parse()
    assert (answer.routing_info["node_name"], answer.routing_info["model"]) == ("scripted-node", "Owner/Repo:Q4")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_ids_that_no_header_can_hold_are_encoded(start_server, stream):
    name = "modèle/模型\r\nx-evil: 1 100%\x7f"
    running = start_server(plugin_of(ScriptedBackend(says("Hi"), models=[Model(name, CHAT)])))
    raw = running.openai().chat.completions.with_raw_response.create(model=name, messages=HELLO, stream=stream)
    assert unquote(raw.headers["x-lightphon-model"]) == name
    assert raw.headers["x-lightphon-model"].isascii()
    assert "x-evil" not in raw.headers
    answer = list(raw.parse())[-1] if stream else raw.parse()
    assert answer.model == name


def test_a_stream_that_is_committed_before_anybody_began_has_none(start_server):
    go = threading.Event()

    async def late(job):
        await asyncio.to_thread(go.wait, 20)
        yield chunk({"content": "Hi"}) + chunk(finish="stop") + usage(1, 1) + event("[DONE]")

    running = start_server(plugin_of(ScriptedBackend(late)), limits={"keep_alive_s": 0.05})
    body = {"model": "auto", "messages": HELLO, "stream": True}
    headers = {"authorization": f"Bearer {running.api_key}"}
    with httpx.stream("POST", running.url + "/v1/chat/completions", json=body, headers=headers) as answer:
        go.set()  # the status has come
        text = answer.read().decode()
    assert '"node_name":"scripted-node"' in text
    assert not [name for name in answer.headers if name.startswith("x-lightphon")]


def test_pages_of_other_origins_may_read_them(start_server):
    running = start_server(plugin_of(ScriptedBackend(says("Hi"))))
    headers = {"authorization": f"Bearer {running.api_key}", "origin": "https://app.example"}
    answer = httpx.post(
        running.url + "/v1/chat/completions", json={"model": "auto", "messages": HELLO}, headers=headers
    )
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"x-lightphon-node", "x-lightphon-model"} <= set(exposed)


def test_what_is_too_long_or_empty_is_left_out():
    info = {"node_name": "n", "model": "m" * LONGEST}
    assert routing_headers(info)["x-lightphon-model"] == "m" * LONGEST
    assert routing_headers({**info, "model": "é" * (LONGEST // 6 + 1)}) == {"x-lightphon-node": "n"}
    assert routing_headers({"node_name": "", "model": "\ud800"}) == {"x-lightphon-model": "?"}
    assert routing_headers(None) == {}
