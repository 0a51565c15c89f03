"""How fast a model answers: measured of single answers, and averaged. Pure."""

import json
from typing import Any

from attrs import frozen

from lightphon_backend_gguf.protocol import limits
from lightphon_backend_gguf.protocol.fields import is_number

TAIL_BYTES = 4096
"""Enough of the end of a streamed answer to hold its last event, the one with the usage."""

DECAY = 0.8
"""What the answers before weigh beside one more."""

FEWEST_TOKENS = 4
"""Answers shorter than this say nothing of a speed."""


@frozen
class Sample:
    """What one answer took: so many tokens in so many seconds, for the answer itself and for reading its prompt."""

    decoded: float = 0.0
    decode_s: float = 0.0
    read: float = 0.0
    read_s: float = 0.0


class Speed:
    """The speeds of one model, in tokens per second: averages in which an answer counts the less the older it is."""

    def __init__(self) -> None:
        self._decode = _Average()
        self._prompt = _Average()

    @property
    def decode(self) -> float | None:
        """Of the tokens of one answer; None before the first."""
        return self._decode.rate

    @property
    def prompt(self) -> float | None:
        """Of reading a prompt; None before the first."""
        return self._prompt.rate

    def add(self, sample: Sample) -> None:
        """Count one more answer. A part of it that is too short counts for nothing."""
        self._decode.add(sample.decoded, sample.decode_s)
        self._prompt.add(sample.read, sample.read_s)


class _Average:
    def __init__(self) -> None:
        self._tokens = 0.0
        self._seconds = 0.0

    @property
    def rate(self) -> float | None:
        return min(self._tokens / self._seconds, limits.TOKENS_PER_S) if self._seconds > 0 else None

    def add(self, tokens: float, seconds: float) -> None:
        if tokens >= FEWEST_TOKENS and seconds > 0:
            self._tokens = self._tokens * DECAY + tokens
            self._seconds = self._seconds * DECAY + seconds


def sample_of(tail: bytes, events: int, first_s: float, rest_s: float) -> Sample:
    """The sample of a streamed answer, ended or broken off.

    `tail` is its last part, at least `TAIL_BYTES` if there is so much; `events` the number of its events; `first_s` the
    seconds to the first of them, `rest_s` from there to the last. llama.cpp's own timings count where they are there,
    else the usage that the engine reports, else a token for each event.
    """
    last = _last_event(tail)
    timings, usage = _object(last, "timings"), _object(last, "usage")
    if _number(timings, "predicted_n"):
        return Sample(
            _number(timings, "predicted_n"),
            _number(timings, "predicted_ms") / 1000,
            _number(timings, "prompt_n"),
            _number(timings, "prompt_ms") / 1000,
        )
    cached = _number(_object(usage, "prompt_tokens_details"), "cached_tokens")
    tokens = _number(usage, "completion_tokens") or events
    return Sample(tokens - 1, rest_s, _number(usage, "prompt_tokens") - cached, first_s)


def _last_event(tail: bytes) -> dict[str, Any]:
    """The last event that has a usage; empty if the tail ends without one."""
    for line in reversed(tail.splitlines()):
        if line.startswith(b"data: {") and b'"usage"' in line:
            try:
                event = json.loads(line.removeprefix(b"data: "))
            except (ValueError, RecursionError):
                return {}
            return event if isinstance(event, dict) else {}
    return {}


def _object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _number(value: dict[str, Any], name: str) -> float:
    found: Any = value.get(name)
    return float(found) if is_number(found, 0, 1e12) else 0.0
