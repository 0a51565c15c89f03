"""The headers that tell what is left."""

import pytest

from lightphon_core.openai.ratelimits import duration, rate_limit_headers
from lightphon_core.types import Standing


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.0000001, "1ms"),
        (0.12, "120ms"),
        (0.9991, "1s"),
        (1, "1s"),
        (1.2, "2s"),
        (59.0001, "1m0s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (5025, "1h23m45s"),
    ],
)
def test_durations_as_openai_writes_them(seconds, written):
    assert duration(seconds) == written


def test_the_tightest_of_each_unit_is_shown_and_nothing_else():
    key = Standing("requests", 100, 7, 55.8)
    account = Standing("requests", 60, 9, 51)
    tokens = Standing("tokens", 1000, 0, 61.2)
    attempts = Standing("log-in attempts", 10, 3, 40)
    assert rate_limit_headers([account, key, tokens, attempts]) == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "56s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1m2s",
    }
    owed = rate_limit_headers([Standing("tokens", 10, 0, 5), Standing("tokens", 99, 0, 70)])
    assert owed["x-ratelimit-reset-tokens"] == "1m10s"
    assert rate_limit_headers([]) == {}
