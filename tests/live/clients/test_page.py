"""docs/clients.md: what needs no client of its own runs here; that the rest is run elsewhere is counted."""

import json

import pytest
from lightphon_backend_gguf.testing import scripted

SAID = scripted.GREETING.text
WIDTH = 384  # of the vectors of the scripted model for embeddings

RUN = {
    "In general": ["test_page.py"],
    "curl": ["test_page.py"] * 4,
    "openai for Python": ["test_page.py"] * 7,
    "openai for Node": ["test_node.py"] * 3,
    "LangChain": ["test_langchain.py"] * 5,
    "Aider": ["test_aider.py"] * 2,
    "Continue": ["test_node.py"],
    "Open WebUI": ["test_page.py"],
    "Cursor": [],
}
"""Which file runs a section's blocks, one entry each."""

PYTHON = ["chat", "headers", "filters", "streamed", "parse", "completions", "embeddings"]


def test_every_block_is_run(blocks, sections):
    assert {section: len(blocks(section, "")) for section in sections} == {
        name: len(each) for name, each in RUN.items()
    }


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the page's clients are not closed
@pytest.mark.parametrize("name", PYTHON)
def test_python(library, describer, blocks, adapted, run_python, name):
    written = dict(zip(PYTHON, blocks("openai for Python", "python"), strict=True))[name]
    printed = run_python(adapted(describer if name == "parse" else library, written)).strip()
    match name:
        case "chat":
            assert printed == f"{SAID}\ngreeting 0 sat, box"
        case "headers":
            request_id, _, said = printed.partition("\n")
            assert request_id.startswith("req_")
            assert said == SAID
        case "parse":
            assert printed == "city='Paris' population=2100000"
        case "embeddings":
            assert printed == f"[{WIDTH}, {WIDTH}]"
        case _:
            assert printed == SAID


def test_curl(library, blocks, adapted, run_program):
    chat, filtered, text, vectors = [
        json.loads(run_program("bash", "-c", adapted(library, block))) for block in blocks("curl", "sh")
    ]
    assert chat["choices"][0]["message"]["content"] == filtered["choices"][0]["message"]["content"] == SAID
    assert text["choices"][0]["text"] == SAID
    assert [len(each["embedding"]) for each in vectors["data"]] == [WIDTH, WIDTH]


def test_an_address_in_place_of_a_key(library, blocks, adapted):
    (address,) = blocks("In general", "text")
    client = library.openai(base_url=adapted(library, address).strip(), api_key="x")
    assert library.ask(client=client).choices[0].message.content == SAID


def test_open_webuis_environment_names_what_is_there(library, blocks, adapted, run_program):
    """Open WebUI itself is 7 GB: what it does with these is in test_recorded.py."""
    exports, _, command = adapted(library, blocks("Open WebUI", "sh")[0]).strip().rpartition("\n")
    assert command == "open-webui serve"

    def fetched(curl):
        return json.loads(run_program("bash", "-c", f"{exports}\ncurl -s {curl}"))["data"]

    listed = fetched('$OPENAI_API_BASE_URL/models -H "Authorization: Bearer $OPENAI_API_KEY"')
    assert "auto" in [each["id"] for each in listed]
    body = """-d '{"model": "'$RAG_EMBEDDING_MODEL'", "input": ["a"]}'"""
    header = '-H "Authorization: Bearer $RAG_OPENAI_API_KEY"'
    (vector,) = fetched(f"$RAG_OPENAI_API_BASE_URL/embeddings {header} {body}")
    assert len(vector["embedding"]) == WIDTH
