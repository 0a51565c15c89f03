"""The tables that the web app shows are those of the pages, to the letter."""

import re
from pathlib import Path

from lightphon_core.routing.filters import CONDITIONS
from lightphon_core.web.pages.guide import reference

DOCS = Path(__file__).parents[2] / "docs"
COPY = Path(reference.__file__).with_name("reference.md").read_text("utf-8")
PAGES = {
    "routing.md": ["Filters", "What is left out", "Scorers"],
    "openai.md": ["Endpoints", "Parameters", "Errors"],
}


def table(text: str, heading: str) -> str:
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)[0]


def test_they_are_copied_whole():
    for page, headings in PAGES.items():
        text = (DOCS / page).read_text("utf-8")
        for heading in headings:
            assert table(COPY, heading) == table(text, heading), f"copy it from docs/{page} into reference.md"
    assert list(reference.TABLES) == [heading for headings in PAGES.values() for heading in headings]


def test_what_becomes_of_a_cell():
    read = reference.tables("\n## A\n\n| a | b |\n|---|---|\n| `x`, `y` | see [the page](page.md#x), `z` |\n\nMore.\n")[
        "A"
    ]
    assert (read.head, read.rows) == (["a", "b"], [["`x`, `y`", "see the page, `z`"]])
    assert list(reference.pieces("see `<b>`.")) == [("see ", False), ("<b>", True), (".", False)]
    assert all(len(row) == len(each.head) for each in reference.TABLES.values() for row in each.rows)


def test_every_condition_has_words():
    assert all(reference.words_of(condition) not in ("", "the filters") for condition in CONDITIONS)
