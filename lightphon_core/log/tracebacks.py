"""Tracebacks as they may be logged."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from structlog.typing import ExcInfo

from lightphon_core.errors import ConfigurationError


def traceback_without_texts(exc_info: ExcInfo) -> str:
    """Where an exception and those behind it came from, and of which types they are.

    Their texts are left out, for a plugin may put a prompt in one; only what is meant for the operator is shown.
    """
    return "\n".join(_traced(exc_info[1], set()))


def _traced(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    yield from _traced(behind, seen)
    kind = type(error)
    text = f": {error}" if isinstance(error, ConfigurationError) else ""
    yield "".join(traceback.format_tb(error.__traceback__)) + f"{kind.__module__}.{kind.__qualname__}{text}"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _traced(each, seen)
