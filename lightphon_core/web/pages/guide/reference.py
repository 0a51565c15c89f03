"""Tables that pages show: those of docs/routing.md and docs/openai.md, from a copy that is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Final

from attrs import frozen

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")
_CODE = re.compile(r"`([^`]+)`")


@frozen
class Table:
    """Its head, and its rows. A cell is text in which code stands between backticks."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(text: str) -> dict[str, Table]:
    """The first table below each heading of a page in Markdown. Of links their words are left."""
    found: dict[str, Table] = {}
    for section in text.split("\n## ")[1:]:
        heading, _, rest = section.partition("\n")
        head, _, *rows = (line for line in rest.partition("\n|")[2].partition("\n\n")[0].splitlines())
        found[heading] = Table(_cells(head), [_cells(row) for row in rows])
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _LINK.sub(r"\1", line).removeprefix("|").removesuffix("|").split("|")]


def named(cell: str) -> list[str]:
    """The code of a cell, without its backticks."""
    return _CODE.findall(cell)


def pieces(cell: str) -> Iterator[tuple[str, bool]]:
    """A cell in order: text, and whether it is code."""
    return ((text, at % 2 == 1) for at, text in enumerate(_CODE.split(cell)) if text)


def words_of(condition: str) -> str:
    """What the condition of this name is about: what a filter asks for, or else what it leaves out."""
    rows = (*TABLES["Filters"].rows, *TABLES["What is left out"].rows)
    return next(says for names, says in rows if condition in named(names))


TABLES: Final = tables((files(__package__) / "reference.md").read_text("utf-8"))
"""By heading: "Filters", "What is left out", "Scorers", "Endpoints", "Parameters", "Errors"."""
