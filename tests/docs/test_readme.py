"""The README's settings load, and its commands exist with the options that it gives them."""

import re
import shlex
from pathlib import Path

import click
import pytest

from lightphon_core.cli import build
from lightphon_core.settings import load

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


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
        assert name in command.commands, f"there is no {name!r} in {line!r}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_there_is_something_to_check():
    assert len(blocks("toml")) >= 2
    assert len(commands()) >= 5
