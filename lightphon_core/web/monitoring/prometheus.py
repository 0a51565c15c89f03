"""Prometheus' text format, version 0.0.4. Pure.

The official client brings registries, locks and collectors for many threads and processes; here one event loop counts
and the same loop writes, so a few dictionaries do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

V = TypeVar("V")
Labels = tuple[str, ...]


def gauge(name: str, help_: str, value: float, labels: Sequence[tuple[str, str]] = ()) -> Iterator[str]:
    """The lines of a value that goes up and down."""
    yield from _head(name, help_, "gauge")
    yield _sample(name, labels, value)


class _Series(ABC, Generic[V]):
    """Values by their labels."""

    kind: str

    def __init__(self, name: str, help_: str, *labels: str) -> None:
        self.name = name
        self._help = help_
        self._names = labels
        self._values: dict[Labels, V] = {}

    def keep(self, wanted: Callable[[Labels], bool]) -> None:
        """Forget what has other labels."""
        self._values = {labels: value for labels, value in self._values.items() if wanted(labels)}

    def lines(self) -> Iterator[str]:
        """Its part of the page."""
        yield from _head(self.name, self._help, self.kind)
        for labels, value in sorted(self._values.items()):
            yield from self._samples(list(zip(self._names, labels, strict=True)), value)

    @abstractmethod
    def _samples(self, labels: list[tuple[str, str]], value: V) -> Iterator[str]:
        """The lines of one value."""


class Counter(_Series[int]):
    """Sums that only grow."""

    kind = "counter"

    def add(self, *labels: str, amount: int = 1) -> None:
        self._values[labels] = self._values.get(labels, 0) + amount

    def _samples(self, labels: list[tuple[str, str]], value: int) -> Iterator[str]:
        yield _sample(self.name, labels, value)


class Histogram(_Series[list[float]]):
    """How many observations were at most so large. `bounds` ascend."""

    kind = "histogram"

    def __init__(self, name: str, help_: str, *labels: str, bounds: Sequence[float]) -> None:
        super().__init__(name, help_, *labels)
        self._bounds = bounds

    def observe(self, *labels: str, value: float) -> None:
        # A count for each bound, one for what is larger, and the sum of all values.
        counts = self._values.setdefault(labels, [0] * (len(self._bounds) + 2))
        counts[bisect_left(self._bounds, value)] += 1
        counts[-1] += value

    def _samples(self, labels: list[tuple[str, str]], value: list[float]) -> Iterator[str]:
        count = 0.0
        for bound, more in zip([*map(_number, self._bounds), "+Inf"], value[:-1], strict=True):
            count += more
            yield _sample(f"{self.name}_bucket", [*labels, ("le", bound)], count)
        yield _sample(f"{self.name}_sum", labels, value[-1])
        yield _sample(f"{self.name}_count", labels, count)


def _head(name: str, help_: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Sequence[tuple[str, str]], value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{shown}}} {_number(value)}" if labels else f"{name} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
