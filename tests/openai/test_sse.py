import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lightphon_core.openai import sse

LINES = [
    b"data: a",
    b"data:b",
    b"data:  two spaces",
    b"data",
    b"data:",
    b'data: {"x": "\xc3\xa9"}',
    b": comment",
    b":",
    b"event: ping",
    b"id: 1",
    b"datax: no",
    b"\xef\xbb\xbf",
    b"",
]
ENDINGS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r", b""]
pieces = st.sampled_from(LINES) | st.sampled_from(ENDINGS) | st.binary(max_size=4)
lines = st.tuples(st.sampled_from(LINES), st.sampled_from(ENDINGS)).map(b"".join)
streams = st.lists(lines | pieces, max_size=20).map(b"".join)


def reference(data: bytes) -> list[bytes]:
    """The standard's algorithm, line by line over the whole stream; an unterminated event counts too."""
    found: list[bytes] = []
    lines: list[bytes] = []
    for line in [*re.split(rb"\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf")), b""]:
        if line == b"":
            found.append(b"\n".join(lines))
            lines = []
        elif line.split(b":", 1)[0] == b"data":
            value = line.partition(b":")[2]
            lines.append(value[1:] if value[:1] == b" " else value)
    return [payload for payload in found if payload]


def split(pieces: list[bytes], limit: int = 1_048_576) -> list[bytes]:
    splitter = sse.Splitter(limit)
    return [payload for piece in pieces for payload in splitter.feed(piece)] + splitter.end()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(streams, st.lists(st.integers(min_value=0, max_value=10_000), max_size=12))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 10])
@example(b"data:  a\ndata:  b\n\n", [])
@example(b"\xef\xbb\xbfdata: a\n\ndata: b\n\n\ndata: c\n\n", [1, 2, 12])
def test_any_cut_gives_the_events_of_the_standard(data: bytes, places: list[int]) -> None:
    expected = reference(data)
    assert split([data]) == expected
    assert split(cut(data, places)) == expected
    assert split([data[at : at + 1] for at in range(len(data))]) == expected


@given(
    st.lists(st.binary(min_size=1).filter(lambda payload: b"\r" not in payload and payload.strip(b"\n")), max_size=5)
)
def test_round_trip(payloads: list[bytes]) -> None:
    assert split([sse.comment("hello\nthere"), *map(sse.event, payloads), sse.DONE]) == [*payloads, b"[DONE]"]


def test_an_event_cannot_carry_a_carriage_return() -> None:
    with pytest.raises(ValueError, match="carriage return"):
        sse.event(b"a\rdata: b")


def test_an_event_leaves_with_its_last_byte() -> None:
    for stream in (b"data: a\n\n", b"data: a\r\r", b"data: a\r\n\r"):
        splitter = sse.Splitter()
        assert [splitter.feed(stream[at : at + 1]) for at in range(len(stream))][-1] == [b"a"], stream


@pytest.mark.parametrize("ending", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_the_limit_holds_however_the_bytes_are_cut(ending: bytes) -> None:
    fits, over = b"data: " + b"x" * 94 + ending, b"data: " + b"x" * 95 + ending
    for size in (1, 7, 1000):

        def pieces(data: bytes, size: int = size) -> list[bytes]:
            return [data[at : at + size] for at in range(0, len(data), size)]

        assert split(pieces(fits * 3), limit=100) == [b"x" * 94] * 3
        with pytest.raises(sse.EventTooLarge):
            split(pieces(fits + over), limit=100)


def test_an_endless_event_is_cut_off_and_let_go() -> None:
    splitter = sse.Splitter(limit=1000)
    for _ in range(1000):
        splitter.feed(b"x")
    splitter.feed(b"\n")
    with pytest.raises(sse.EventTooLarge):
        splitter.feed(b"x")
    assert splitter.end() == []
