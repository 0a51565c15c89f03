"""The snippets are the blocks of docs/clients.md and docs/openclaw.md, word for word; and they are safe to paste."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest
from attrs import evolve

from lightphon_core.web.pages.guide import snippets
from lightphon_core.web.pages.guide.clients import clients
from lightphon_core.web.pages.guide.snippets import KEY, TOKEN, Fill, can_be_pasted, parts

DOCS = Path(__file__).parents[3] / "docs"
HOST = "https://lightphon.com"
FILTERS = {"sort": "throughput", "max_price": 5}
AS_DOCUMENTED = Fill(HOST, embedder="your-embedding-model")
FILTERED = evolve(AS_DOCUMENTED, route=FILTERS)
CLAW = evolve(AS_DOCUMENTED, context=65536, example="Qwen/Qwen2.5-Coder-14B-Instruct-GGUF")
NASTY = ["'; touch /tmp/x #", '"); import os; os.x("', "`${1}`", "\\", "</script>", "\u2028\n"]


def blocks(page: str, section: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def documented(name: str) -> list[str]:
    """The blocks that a client's tab may show."""
    sections = {"python": "openai for Python", "node": "openai for Node", "langchain": "LangChain"}
    if name == "openclaw":
        return blocks("openclaw.md", "OpenClaw asks LightPhon")
    return blocks("clients.md", sections.get(name, name if name == "curl" else name.capitalize()))


def test_each_is_a_block_of_the_docs():
    shown = {client.id: client for client in clients(AS_DOCUMENTED)}
    assert list(shown) == ["curl", "python", "node", "langchain", "aider", "continue", "cursor", "openclaw"]
    filtered = {client.id: client for client in clients(FILTERED)}
    shown["openclaw"] = next(client for client in clients(CLAW) if client.id == "openclaw")
    for name, client in shown.items():
        known = documented(name)
        for snippet in [*client.snippets, *(filtered[name].snippets if client.sends_filters else ())]:
            assert snippet.text in known, (name, snippet.text)
        if client.sends_filters:
            assert filtered[name].snippets != client.snippets
        assert client.needs is None or f"`{client.needs}`" in (DOCS / "clients.md").read_text("utf-8")
    assert {name for name, client in shown.items() if not client.snippets} == {"cursor"}
    assert snippets.python_streamed(AS_DOCUMENTED) in documented("python")


def test_the_fields_of_cursor_are_the_table_of_the_docs():
    text = (DOCS / "clients.md").read_text("utf-8").partition("\n## Cursor\n")[2]
    rows = re.findall(r"^\| (.*?) \| `(.*?)` \|$", text, re.MULTILINE)
    (cursor,) = [client for client in clients(AS_DOCUMENTED) if client.id == "cursor"]
    assert list(cursor.fields) == rows


def test_a_token_changes_address_and_key_alone():
    in_the_address = f"{HOST}/api/agent/{TOKEN}/v1"
    assert f"{HOST}/api/agent/{TOKEN}\n" in blocks("clients.md", "In general")
    for by_key, by_token in zip(clients(CLAW), clients(evolve(CLAW, by_token=True)), strict=True):
        pairs = zip(by_key.snippets, by_token.snippets, strict=by_key.id != "openclaw")
        for one, other in pairs:
            back = other.text.replace(f'"{in_the_address}"', in_the_address) if one.language == "sh" else other.text
            back = back.replace(f'"{in_the_address}/chat', f"{in_the_address}/chat").replace(
                'completions" \\', "completions \\"
            )
            assert KEY not in other.text
            expected = one.text.replace(f"{HOST}/v1", in_the_address).replace("${LIGHTPHON_API_KEY}", "x")
            expected = expected.replace(f'  -H "Authorization: Bearer {KEY}" \\\n', "").replace(KEY, "x")
            assert back == expected
        assert all(value != KEY for _, value in by_token.fields)
    assert json.loads(shlex.split(snippets.curl(evolve(FILTERED, by_token=True)))[-1])["route"] == FILTERS


@pytest.mark.parametrize("word", NASTY)
def test_what_somebody_puts_into_a_link_is_text_wherever_it_is_pasted(word):
    """A filter may come from anybody's link to the page; the snippets carry it as data."""
    fill = Fill(HOST, route={"providers": [word]})
    *_, body = shlex.split(snippets.curl(fill))
    assert json.loads(body)["route"] == {"providers": [word]}
    for program in (snippets.python(fill), snippets.langchain(fill)):
        (route,) = [
            each for each in ast.walk(ast.parse(program)) if isinstance(each, ast.keyword) and each.arg == "extra_body"
        ]
        assert ast.literal_eval(route.value) == {"route": {"providers": [word]}}
    (line,) = [line for line in snippets.node(fill).splitlines() if line.startswith("  route: ")]
    assert json.loads(line.removeprefix("  route: ").removesuffix(",")) == {"providers": [word]}
    assert not can_be_pasted(word)


@pytest.mark.parametrize(
    ("model", "written"), [("a/b-1.5", "a/b-1.5"), ("3.5", '"3.5"'), ("No", '"No"'), ("a:", '"a:"')]
)
def test_a_models_id_is_text_in_yaml(model, written):
    assert f"    model: {written}\n" in snippets.continue_config(Fill(HOST, model=model))


def test_where_a_key_goes():
    text = snippets.python(AS_DOCUMENTED)
    assert [slot for _, slot in parts(text)] == [None, "key", None]
    assert "".join(each for each, _ in parts(text)) == text
    assert [slot for _, slot in parts(snippets.aider(evolve(AS_DOCUMENTED, by_token=True)))] == [None, "token", None]
