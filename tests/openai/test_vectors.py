"""Answers of vectors, as backends send them."""

import pytest

from lightphon_core.openai.choices import BadChunk
from lightphon_core.openai.vectors import Wanted, read_vectors
from lightphon_core.testing.scripted import vectors_of

ONE = vectors_of(["one"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": []}',
        vectors_of(["one", "two"]),
        ONE.replace(b"[3.0", b"[1e999"),
        ONE.replace(b"[3.0", b"[1e300"),
        ONE.replace(b"3.0", b"null"),
        ONE.replace(b"3.0", b'"3.0"'),
        b'{"data": [{"index": 0, "embedding": "AAAA"}]}',
        b'{"data": [{"index": 0, "embedding": "no base64!"}]}',
        b'{"data": [{"index": 0, "embedding": "AADAfw=="}]}',  # not a number
        b'{"data": [{"index": 1, "embedding": [1.0]}]}',
        b'{"data": [{"index": 0, "embedding": []}]}',
        b"data: {}\n\n",
        b"",
    ],
)
def test_what_is_none(body):
    with pytest.raises(BadChunk):
        read_vectors(body, Wanted(1))


def test_vectors_of_several_lengths_are_none():
    body = vectors_of(["one", "two"]).replace(b", 1.0, -0.5]", b"]", 1)
    with pytest.raises(BadChunk):
        read_vectors(body, Wanted(2))


def test_they_come_in_any_order():
    body = b'{"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": "AACAPw=="}]}'
    assert (
        b'"embedding":[1.0]},{"object":"embedding","index":1,"embedding":[2.0]' in read_vectors(body, Wanted(2)).encoded
    )
