"""docs/guide-conformance.md: each promise of the public guide has tests that there are."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guide-conformance.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| \d+ ", line)
]
SECTIONS = [str(number) for number in range(1, 13)]
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
def test_a_promise_has_tests(row):
    _, _, tests, state = row
    assert state == HOLDS
    assert named(tests)
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
    blocks = sum(row[1].startswith("Block: ") for row in ROWS)
    assert f"**{len(ROWS)} promises, {blocks} of them code blocks, and all hold.**" in PAGE
