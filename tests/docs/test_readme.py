"""The settings in README and docs/operating.md load, and the commands exist with the options that they are given."""

import re
import shlex
from pathlib import Path

import click
import pytest

from lightphon_core.cli import build
from lightphon_core.settings import load

ROOT = Path(__file__).parents[2]
PAGES = [(ROOT / name).read_text("utf-8") for name in ("README.md", "docs/operating.md", "docs/payouts.md")]


def blocks(language: str) -> list[str]:
    return [
        block for page in PAGES for block in re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    ]


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if re.match(r"lightphon ", line)]


@pytest.mark.parametrize("block", blocks("toml"))
def test_settings_load(tmp_path, block):
    config = tmp_path / "lightphon.toml"
    config.write_text(block, "utf-8")
    assert load(config, {}, data_dir=tmp_path).config == config


@pytest.mark.parametrize("line", commands())
def test_commands_exist(line):
    command: click.Command = build()
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"there is no {name!r} in {line!r}"
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_there_is_something_to_check():
    assert len(blocks("toml")) >= 2
    assert len(commands()) >= 15
