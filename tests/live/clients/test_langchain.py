"""LangChain's client for OpenAI against the whole system, as docs/clients.md has it. `.ci/client-tests` brings it."""

import gc

import pytest
from lightphon_backend_gguf.testing import scripted

pytestmark = [
    pytest.mark.clients,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # LangChain does not close its clients
]


@pytest.fixture(autouse=True)
def _forgotten_here():
    """Its clients go before the filter above does, and not as pytest ends, which would fail for them."""
    yield
    gc.collect()


@pytest.fixture
def printed(blocks, adapted, run_python):
    """`printed(system, at)` is what that block of the page prints."""
    return lambda system, at: run_python(adapted(system, blocks("LangChain", "python")[at])).strip()


def model(system, **options):
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(base_url=f"{system.url}/v1", api_key=system.api_key, model="auto", temperature=0, **options)


def test_chat_whole_and_streamed(printed, library):
    assert printed(library, 0) == f"{scripted.GREETING.text}\n{scripted.GREETING.text}"


def test_filters(printed, library):
    assert printed(library, 1) == scripted.GREETING.text


def test_what_an_answer_says_of_itself(library):
    whole = model(library).invoke("Hello!")
    assert whole.response_metadata["model_name"] == "greeting"
    assert whole.response_metadata["finish_reason"] == "stop"
    assert whole.response_metadata["token_usage"]["cost"] == "0"
    *_, last = chunks = list(model(library, stream_usage=True).stream("Hello!"))
    added = chunks[0]
    for chunk in chunks[1:]:
        added += chunk
    # LangChain adds up what it finds, so usage must be in one chunk alone.
    assert added.usage_metadata == whole.usage_metadata
    assert added.content == whole.content
    assert last.chunk_position == "last"


def test_tools(printed, caller):
    assert printed(caller, 2) == "Rain in Paris."


def test_tools_streamed(caller):
    from langchain_core.tools import tool

    @tool
    def get_weather(city: str) -> str:
        """Says what the weather is."""
        return city

    added = None
    for chunk in model(caller).bind_tools([get_weather]).stream("What is the weather in Paris?"):
        added = chunk if added is None else added + chunk
    assert [(call["name"], call["args"]) for call in added.tool_calls] == [("get_weather", {"city": "Paris"})]


def test_structured_output(printed, describer):
    assert printed(describer, 3) == "city='Paris' population=2100000"


def test_structured_output_by_calling_a_function(caller):
    schema = {
        "title": "get_weather",
        "description": "Where the weather is asked for.",
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    asked = model(caller).with_structured_output(schema, method="function_calling")
    assert asked.invoke("What is the weather in Paris?") == {"city": "Paris"}


def test_embeddings(printed, library):
    assert printed(library, 4) == "[384, 384]"


def test_embeddings_as_tokens_are_refused_by_the_name_of_the_switch(library):
    """LangChain's default; the tokens are the point, so the tokenizer, which it would download, is a stand-in."""
    import openai
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(base_url=f"{library.url}/v1", api_key=library.api_key, model="embedder")
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False"):
        embeddings.client.create(model="embedder", input=[[101, 102]])
