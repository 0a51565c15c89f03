"""docs/guide-conformance.md: each promise of the public guide has tests that there are, or says what is missing."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guide-conformance.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| \d+ ", line)
]
SECTIONS = [str(number) for number in range(1, 13)]
PARTS = ("web app",)
HOLDS = "holds"


def named(cell: str) -> list[str]:
    """The tests of a cell, which has nothing else."""
    tests = re.findall(r"`([^`]+)`", cell)
    assert cell == ", ".join(f"`{test}`" for test in tests)
    return tests


def functions_of(path: Path) -> set[str]:
    """The tests of a module, as pytest names them but for their parameters."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        inside = node.body if isinstance(node, ast.ClassDef) and node.name.startswith("Test") else None
        for function in [node] if inside is None else inside:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name.startswith("test_"):
                found.add(function.name if inside is None else f"{node.name}::{function.name}")
    return found


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_a_promise_has_tests_or_says_what_is_missing(row):
    _, _, tests, state = row
    if state == HOLDS:
        assert named(tests), "a promise that holds is shown by a test"
    else:
        assert state.removeprefix("not yet: ") in PARTS
        assert state.startswith("not yet: ")
        assert not tests, "what is shown by a test holds"
    for test in named(tests):
        file, _, name = test.partition("::")
        assert name in functions_of(ROOT / file), f"there is no {test}"


def test_every_section_of_the_guide_is_there_in_its_order():
    sections = [row[0].partition(" ")[0] for row in ROWS]
    assert list(dict.fromkeys(sections)) == SECTIONS
    assert sections == sorted(sections, key=int)
    assert len({(row[0], row[1]) for row in ROWS}) == len(ROWS)


def test_every_test_of_the_guide_is_in_the_table():
    listed = {test for row in ROWS for test in named(row[2])}
    modules = (ROOT / "tests" / "live" / "guide").glob("test_*.py")
    there = {f"tests/live/guide/{path.name}::{test}" for path in modules for test in functions_of(path)}
    assert there
    assert there <= listed


def test_the_counts_are_true():
    states = Counter(row[3].removeprefix("not yet: ") for row in ROWS)
    missing = ", ".join(f"{states[part]} {part}" for part in PARTS)
    blocks = sum(row[1].startswith("Block: ") for row in ROWS)
    total = f"**{len(ROWS)} promises, {blocks} of them code blocks: {states[HOLDS]} hold, "
    assert f"{total}{len(ROWS) - states[HOLDS]} do not yet** ({missing})." in PAGE.replace("\n", " ")
