"""The official Python SDK, beyond chats (which tests/live/test_sdk.py has): plain text, vectors, headers."""

import openai
import pytest
from lightphon_backend_gguf.testing import scripted

TEXT = scripted.GREETING.text


@pytest.fixture(scope="module")
def client(library):
    return library.openai()


def test_a_completion_whole_and_streamed(client):
    asked = {"model": "auto", "prompt": "Once", "temperature": 0}
    whole = client.completions.create(**asked)
    assert (whole.object, whole.model) == ("text_completion", "greeting")
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == (TEXT, "stop")
    chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == TEXT
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert [chunk.usage for chunk in chunks if chunk.usage] == [whole.usage]
    assert chunks[-1].choices == []


def test_several_prompts_and_a_limit(client):
    answer = client.completions.create(model="greeting", prompt=["One", "Two"], temperature=0, max_tokens=3)
    said = "".join(scripted.GREETING.pieces[:3])
    assert [(each.index, each.text, each.finish_reason) for each in answer.choices] == [
        (0, said, "length"),
        (1, said, "length"),
    ]


def test_vectors_are_the_same_as_base64_and_as_numbers(client):
    """The SDK asks for base64 unless told otherwise, and decodes it."""
    texts = ["a text", "another"]
    plain = client.embeddings.create(model="embedder", input=texts)
    numbers = client.embeddings.create(model="embedder", input=texts, encoding_format="float")
    assert [each.index for each in plain.data] == [0, 1]
    for one, other in zip(plain.data, numbers.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert plain.data[0].embedding != plain.data[1].embedding
    assert plain.usage.prompt_tokens == numbers.usage.prompt_tokens > 0
    coded = client.embeddings.create(model="embedder", input=texts, encoding_format="base64")
    assert isinstance(coded.data[0].embedding, str)


def test_tokens_as_input_are_refused_by_the_name_of_langchains_switch(client):
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        client.embeddings.create(model="embedder", input=[[101, 102]])


def test_headers_and_a_stream_that_is_read_raw(client):
    asked = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    raw = client.chat.completions.with_raw_response.create(**asked)
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    with client.chat.completions.with_streaming_response.create(**asked, stream=True) as streamed:
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert streamed.headers["x-request-id"] != raw.headers["x-request-id"]
        assert list(streamed.iter_lines())[-2:] == ["data: [DONE]", ""]


def test_the_responses_api_is_said_not_to_be_here(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model="auto", input="Hi")
    assert caught.value.code == "unknown_url"
