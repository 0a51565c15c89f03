"""GET /api/status: sums for everybody, and nothing of anybody."""

import threading
import time

import httpx
import pytest

from lightphon_core.openai.chunks import Chunk
from lightphon_core.serving.meter import Bounds, Meter
from lightphon_core.serving.outcome import Outcome
from lightphon_core.testing import ScriptedBackend, plugin_of
from lightphon_core.testing.scripted import says
from lightphon_core.types import Load, Usage
from lightphon_core.web.monitoring.recent import MOST, WINDOW_S, Latency, Recent

HELLO = [{"role": "user", "content": "Hello!"}]
NOTHING = {"window_s": 600, "ttft_p50_ms": None, "ttft_p95_ms": None, "tokens_per_s_p50": None}


def test_sums_over_all_nodes_and_models(start_server):
    two = ScriptedBackend(says("Hi"), name="two", models=["secret-model", "another"], slots=3, owner="acct_owner")
    one = ScriptedBackend(says("Hi"), name="one", models=["another"], slots=5)
    running = start_server(plugin_of(two, one))
    url = running.url + "/api/status"
    status = httpx.get(url).json()
    assert status.pop("version")
    free = {"slots": 11, "busy": 0, "queued": 0}
    assert status == {"nodes_online": 2, "models_online": 2, "capacity": free, "latency": NOTHING}

    two.load = lambda: {"two/secret-model": Load(busy=9, queued=2), "two/another": Load(busy=1), "two/gone": Load(7)}
    one.load = lambda: {"one/another": Load(busy=2, queued=1)}
    assert httpx.get(url).json()["capacity"] == {"slots": 11, "busy": 6, "queued": 3}
    one.online = False
    one.changed()
    assert httpx.get(url).json()["nodes_online"] == 1
    assert httpx.get(url).json()["capacity"]["slots"] == 6


def test_answers_show_as_latency_and_name_nobody(start_server):
    backend = ScriptedBackend(says("Hel", "lo"), models=["secret-model"], owner="acct_owner")
    running = start_server(plugin_of(backend))
    running.openai().chat.completions.create(model="auto", messages=HELLO)
    answer = until(lambda: (got := httpx.get(running.url + "/api/status")).json()["latency"] != NOTHING and got)
    latency = answer.json()["latency"]
    assert 0 < latency["ttft_p50_ms"] == latency["ttft_p95_ms"] < 60_000
    for word in ("secret-model", "acct_", "scripted", "test"):
        assert word not in answer.text


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def outcome(ttft_s, speed=None):
    return Outcome("ok", 9.0, "m", ttft_s, tokens_per_s=speed)


def test_percentiles_of_the_last_minutes():
    clock = Clock()
    recent = Recent(clock)
    assert recent.latency() == Latency(None, None, None)
    recent.ended(outcome(99.0, 1.0))
    clock.now += WINDOW_S
    for number in range(1, 101):
        recent.ended(outcome(number / 10, None if number % 2 else float(number)))
    recent.ended(Outcome("NoNodesAvailable", 3.0))
    assert recent.latency() == Latency(5.0, 9.5, 50.0)
    clock.now += WINDOW_S
    assert recent.latency() == Latency(None, None, None)


def test_the_latest_count_where_there_are_too_many():
    recent = Recent(Clock())
    for _ in range(MOST):
        recent.ended(outcome(1.0))
    for _ in range(MOST):
        recent.ended(outcome(2.0))
    assert recent.latency() == Latency(2.0, 2.0, None)


def test_the_speed_of_an_answer():
    meter = Meter(Bounds(100, 0, 100), began=10.0)
    assert meter.tokens_per_s(1.0) is None
    text = Chunk([], b"[]", has_output=True, text_bytes=40, finish_reasons={}, usage=None)
    meter.see(text, 11.0)
    assert meter.tokens_per_s(1.0) is None
    for number in range(1, 5):
        meter.see(text, 11.0 + number)
    meter.see(Chunk([], b"[]", False, 0, {}, Usage(7, 9)), 13.0 + 2)
    assert meter.tokens_per_s(1.0) == pytest.approx(8 / 4)


def until(condition, seconds=10.0):
    """Wait for the server's thread to make `condition` true, and return what it returned."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)
    return found
