"""Which days of usage are shown, and the file for spreadsheets."""

import csv
import io
from datetime import date, timedelta

import pytest

from lightphon_core.web.api.usage import Used
from lightphon_core.web.pages.usage.csv_file import COLUMNS, as_csv, harmless
from lightphon_core.web.pages.usage.span import Span, span_of

TODAY = date(2027, 1, 31)


def test_ranges():
    assert span_of(None, None, None, today=TODAY) == Span(date(2027, 1, 2), TODAY, 30)
    assert span_of("7", "", "", today=TODAY) == Span(date(2027, 1, 25), TODAY, 7)
    own = span_of(None, "2026-12-31", "2027-01-02", today=TODAY)
    assert own == Span(date(2026, 12, 31), date(2027, 1, 2))
    assert own.days == [date(2026, 12, 31), date(2027, 1, 1), date(2027, 1, 2)]
    assert span_of(None, None, "2027-01-30", today=TODAY).first == date(2027, 1, 1)
    assert len(span_of(None, "2026-01-31", "2027-01-31", today=TODAY).days) == 366


@pytest.mark.parametrize(
    ("length", "first", "last", "fault"),
    [
        ("8", None, None, "no such range"),
        (None, "2027-01-05", "2027-01-04", "after the last"),
        (None, "yesterday", None, "is written as"),
        (None, None, "0001-01-01", "is written as"),
        (None, "2026-01-30", "2027-01-31", "more than 366 days"),
    ],
)
def test_what_cannot_be_shown_is_said_and_the_usual_days_are_shown(length, first, last, fault):
    found = span_of(length, first, last, today=TODAY)
    assert fault in found.fault
    assert (found.first, found.last, found.length) == (TODAY - timedelta(days=29), TODAY, 30)


def row(**changes):
    given = {"day": TODAY, "model": "m", "key": "cred_1", "key_name": "laptop", "requests": 2, "prompt_tokens": 3}
    return Used(**{**given, "completion_tokens": 4, "ms": 1_500, "cost_msat": 1_234, **changes})


def test_a_file_is_read_as_it_was_meant():
    text = as_csv([row(), row(model='a, "quoted"\nname', key_name=None)])
    assert text.endswith("\r\n")
    head, first, second = csv.reader(io.StringIO(text, newline=""))
    assert head == list(COLUMNS)
    assert first == ["2027-01-31", "m", "cred_1", "laptop", "2", "3", "4", "1.500", "1.234"]
    assert (second[1], second[3]) == ('a, "quoted"\nname', "")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "\n=1"])
def test_no_name_is_a_formula(name):
    cell = next(csv.reader(io.StringIO(as_csv([row(key_name=name, model=name)]), newline="").readlines()[1:]))
    assert harmless(name) == f"'{name}"
    assert cell[1].startswith("'")


def test_other_names_stay_as_they_are():
    assert [harmless(name) for name in ("qwen/Qwen3-8B", "a=b", "")] == ["qwen/Qwen3-8B", "a=b", ""]
