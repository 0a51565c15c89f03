"""Numbers as people read them: nothing is rounded away, and a sat is one."""

import pytest

from lightphon_core.web.pages.frame.formats import (
    at_a_glance,
    in_sats,
    shortened,
    shown_change,
    shown_moment,
    shown_number,
    shown_sats,
)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "0"),
        (1, "0.001"),
        (1_000, "1"),
        (1_234_500, "1\u202f234.5"),
        (-500, "-0.5"),
        (-2_000_001, "-2\u202f000.001"),
    ],
)
def test_amounts_keep_every_digit(amount, shown):
    assert shown_sats(amount) == shown


def test_one_is_a_sat_and_all_else_are_sats():
    assert [in_sats(amount) for amount in (0, 999, 1_000, 2_000)] == ["0 sats", "0.999 sats", "1 sat", "2 sats"]


def test_changes_have_a_sign():
    assert [shown_change(amount) for amount in (1_000, 0, -1_500)] == ["+1", "0", "\u22121.5"]


def test_little_room():
    assert [at_a_glance(amount) for amount in (9_999, 10_999, 25_999_990)] == ["9.999", "10", "25\u202f999"]
    assert shortened("short") == "short"
    assert shortened("lnbc" + "x" * 60) == "lnbc" + "x" * 10 + "…" + "x" * 8
    assert shown_number(1234567.25, 1) == "1\u202f234\u202f567.2"
    assert shown_moment(1_780_000_000) == "2026-05-28 20:26"
