"""Plain completions, infill and embeddings are charged as chats are."""

import pytest
from openai import APIStatusError

from lightphon_core import Capability, Model, Price
from lightphon_core.testing.scripted import says, text_chunk, usage, vectors_of

ALL = Model("all", frozenset(Capability), context_length=4096)
PRICE = Price(per_mtok_prompt=1_000_000_000, per_mtok_completion=10_000_000_000)
"""A sat for each token of the prompt, and 10 for each of the answer."""


@pytest.fixture
def start(start_priced):
    def start(reply, **options):
        backend, running, books = start_priced(reply, PRICE, **options)
        backend.models = [ALL]
        backend.changed()
        return backend, running.openai(), books

    return start


def test_each_is_paid_for_and_pays_its_node(start):
    _, client, books = start(says("Hel", "lo"), funds=1_000_000)
    text = client.completions.create(model="all", prompt="Say", max_tokens=5)
    assert text.usage.cost_msat == 3 * 1000 + 2 * 10_000
    body = {"model": "all", "prompt": "a", "suffix": "b", "max_tokens": 5}
    infill = client.post("/fim/completions", body=body, cast_to=object)
    assert infill["usage"]["cost_msat"] == 23_000
    vectors = client.embeddings.create(model="all", input=["one", "two"])
    assert vectors.usage.cost_msat == 6 * 1000
    assert books.wallet() == 1_000_000 - 2 * 23_000 - 6_000
    assert books.all()["house"] == 2 * 2_300 + 600
    assert books.held() == 0


def test_who_has_too_little_is_told_before_anything_is_sent(start):
    backend, client, books = start(says("x"), funds=1_000)
    for ask in (
        lambda: client.embeddings.create(model="all", input="one"),
        lambda: client.completions.create(model="all", prompt="Say"),
    ):
        with pytest.raises(APIStatusError) as refused:
            ask()
        assert (refused.value.status_code, refused.value.code) == (402, "insufficient_balance")
    assert backend.jobs == []
    assert books.wallet() == 1_000


def test_a_wallet_that_covers_a_part_gets_a_part(start):
    async def obedient(job):
        for _ in range(job.max_output_tokens):
            yield text_chunk("abcde")
        yield text_chunk(finish="length")

    backend, client, books = start(obedient, funds=150_000)
    answer = client.completions.create(model="all", prompt="Say")
    assert answer.choices[0].finish_reason == "length"
    assert 1 <= answer.usage.completion_tokens == backend.jobs[0].max_output_tokens < 15
    assert 0 <= books.wallet() < 150_000


def test_vectors_that_cannot_be_read_are_not_paid_for(start):
    async def wrong(job):
        yield vectors_of(["a", "b"])

    backend, client, books = start(wrong, funds=60_000)
    with pytest.raises(APIStatusError):
        client.embeddings.create(model="all", input="one")
    assert books.wallet() == 60_000
    backend.reply = says("x")
    assert client.embeddings.create(model="all", input="one").usage.cost_msat == 3_000  # what was set aside is back
    assert (books.wallet(), books.held()) == (57_000, 0)


def test_what_a_node_claims_of_vectors_is_bounded_by_the_texts(start):
    """And a completion that nobody got costs nothing."""

    async def greedy(job):
        yield vectors_of(["one"]).replace(b'"prompt_tokens": 3', b'"prompt_tokens": 1000000, "completion_tokens": 99')

    _, client, books = start(greedy, funds=1_000_000)
    spent = client.embeddings.create(model="all", input="one").usage.cost_msat
    assert spent < 100_000
    assert books.wallet() == 1_000_000 - spent


def test_usage_of_a_text_is_what_was_relayed(start):
    async def greedy(job):
        yield text_chunk("abc")
        yield text_chunk(finish="stop")
        yield usage(3, 5_000)

    _, client, _ = start(greedy, funds=10_000_000)
    assert client.completions.create(model="all", prompt="Say").usage.completion_tokens <= 3
