"""Restarts, speeds and digests: the pure parts of keeping a model served, and of saying what it is."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from lightphon_backend_gguf.node.models.digests import Digests
from lightphon_backend_gguf.node.serving.restarts import ATTEMPTS, LONGEST_DELAY_S, STEADY_S, Restarts
from lightphon_backend_gguf.node.serving.speed import Sample, Speed, sample_of
from lightphon_backend_gguf.protocol import limits


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("random", "share"), [(0.0, 0.5), (1.0, 1.0)])
def test_delays_grow_to_a_limit_and_are_spread(random: float, share: float) -> None:
    restarts = Restarts(Clock(), lambda: random)
    delays = []
    for _ in range(12):
        restarts.ran()
        delays.append(restarts.ended())
    assert delays == [share * min(2.0**n, LONGEST_DELAY_S) for n in range(12)]


def test_an_engine_that_ran_well_is_soon_started_again() -> None:
    clock = Clock()
    restarts = Restarts(clock, lambda: 1.0)
    for _ in range(6):
        restarts.ran()
        restarts.ended()
    restarts.ran()
    clock.now += STEADY_S - 1
    assert restarts.ended() == 64
    restarts.ran()
    clock.now += STEADY_S
    assert restarts.ended() == 1


def test_a_model_that_never_ran_is_given_up_after_some_starts() -> None:
    restarts = Restarts(Clock(), lambda: 1.0)
    assert [restarts.ended() for _ in range(ATTEMPTS)] == [1, 2, 4, 8, None]


def test_one_that_says_it_cannot_run_is_given_up_at_once_but_not_once_it_ran() -> None:
    assert Restarts(Clock(), lambda: 1.0).ended(lasting=True) is None
    restarts = Restarts(Clock(), lambda: 1.0)
    restarts.ran()
    assert [restarts.ended(lasting=True) for _ in range(ATTEMPTS + 2)] == [1, 2, 4, 8, 16, 32, 64]


def test_a_server_that_is_not_ours_is_waited_for() -> None:
    restarts = Restarts(Clock(), lambda: 1.0, attempts=None)
    assert None not in [restarts.ended(lasting=True) for _ in range(100)]


def event(**values: object) -> bytes:
    return b"data: " + json.dumps({"choices": [], **values}).encode() + b"\n\n"


def test_a_sample_is_by_the_engines_timings_else_by_usage_else_by_events() -> None:
    usage = {"prompt_tokens": 50, "completion_tokens": 21, "prompt_tokens_details": {"cached_tokens": 10}}
    timings = {"prompt_n": 40, "prompt_ms": 500.0, "predicted_n": 20, "predicted_ms": 2000.0}
    text = event(choices=[{"delta": {"content": 'data: {"usage": {"completion_tokens": 9999}}\n\n'}}])
    done = b"data: [DONE]\n\n"
    tail = text + event(usage=usage, timings=timings) + done
    assert sample_of(tail, 23, 1.0, 4.0) == Sample(20, 2.0, 40, 0.5)
    assert sample_of(text + event(usage=usage) + done, 23, 1.0, 4.0) == Sample(20, 4.0, 40, 1.0)
    assert sample_of(text * 5, 5, 1.0, 4.0) == Sample(4, 4.0, 0, 1.0)
    for spoilt in (event(usage=7, timings=[1]), event(usage={"completion_tokens": "many"}), b'data: {"usage"\n\n', b""):
        assert sample_of(spoilt, 5, 1.0, 4.0) == Sample(4, 4.0, 0, 1.0)


def test_speeds_follow_what_is_measured_and_short_answers_say_nothing() -> None:
    speed = Speed()
    assert (speed.decode, speed.prompt) == (None, None)
    speed.add(Sample(3, 0.001, 3, 0.001))
    speed.add(Sample(100, 0.0, 100, 0.0))
    assert (speed.decode, speed.prompt) == (None, None)
    speed.add(Sample(100, 10.0, 200, 1.0))
    assert (speed.decode, speed.prompt) == (10, 200)
    speed.add(Sample(100, 2.5, 0, 0.0))
    assert speed.decode is not None
    assert 10 < speed.decode < 40
    assert speed.prompt == 200
    for _ in range(30):
        speed.add(Sample(100, 2.5))
    assert speed.decode == pytest.approx(40, rel=0.01)
    speed.add(Sample(1e9, 1e-9))
    assert speed.decode == limits.TOKENS_PER_S


async def test_a_digest_is_computed_once_for_each_state_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, state = tmp_path / "model.gguf", tmp_path / "state" / "deep"
    file.write_bytes(b"one" * 2**21)
    first = hashlib.sha256(b"one" * 2**21).hexdigest()
    assert await Digests(state).of(file) == first
    read: list[Path] = []

    def counted(path: Path, given_up: object) -> str:
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr("lightphon_backend_gguf.node.models.digests._sha256", counted)
    assert await Digests(state).of(file) == first
    assert not read
    stat = file.stat()
    file.write_bytes(b"two" * 2**21)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert await Digests(state).of(file) == hashlib.sha256(file.read_bytes()).hexdigest() != first
    assert read == [file]
    (state / "sha256.json").write_text('{"a": 1')
    assert await Digests(state).of(file) is not None
    assert len(read) == 2


async def test_a_file_that_is_gone_or_changes_has_no_digest_and_a_state_that_cannot_be_kept_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.gguf"
    assert await Digests(tmp_path).of(file) is None
    file.write_bytes(b"x")
    assert await Digests(file).of(file) == hashlib.sha256(b"x").hexdigest()

    def changing(path: Path, given_up: object) -> str:
        path.write_bytes(b"longer")
        return "0" * 64

    monkeypatch.setattr("lightphon_backend_gguf.node.models.digests._sha256", changing)
    assert await Digests(tmp_path).of(file) is None
    assert not (tmp_path / "sha256.json").exists()
