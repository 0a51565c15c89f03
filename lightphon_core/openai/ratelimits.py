"""OpenAI's x-ratelimit-* headers, which tell a client what is left of its limits a minute."""

import math
from collections.abc import Sequence

from lightphon_core.types import Standing

UNITS = ("requests", "tokens")
"""What OpenAI's headers tell of."""


def rate_limit_headers(standings: Sequence[Standing]) -> dict[str, str]:
    """Names and values. Of several limits on the same unit the one is shown of which the least remains."""
    headers: dict[str, str] = {}
    for unit in UNITS:
        same = [each for each in standings if each.unit == unit]
        if same:
            tightest = min(same, key=lambda each: (each.remaining, -each.reset_s))
            headers[f"x-ratelimit-limit-{unit}"] = str(tightest.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(tightest.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = duration(tightest.reset_s)
    return headers


def duration(seconds: float) -> str:
    """As OpenAI writes it: "120ms" below a second, then "1s", "6m0s", "1h0m0s", rounded up."""
    ms = math.ceil(seconds * 1000)
    if ms < 1000:
        return f"{ms}ms" if ms > 0 else "0s"
    minutes, rest = divmod(math.ceil(ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
