"""What can be set, written out for people: as a page of Markdown, and as a settings file to begin with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightphon_core.settings.options import Option, Section, sections, toml

_INTRODUCTION = """\
# Settings

Made by `lightphon settings` from the program itself; `lightphon settings` on your machine adds those of your plugins.

LightPhon reads one TOML file: the one that `--config` or `LIGHTPHON_CONFIG` names, else `lightphon.toml` in the data
directory, where there is one. An environment variable wins over the file; one that is set to nothing counts as not set.
In a variable, lists are separated by commas, and tables are `name=value` pairs, separated by commas.

Wherever the file has text, `{env = "NAME"}` stands for what an environment variable holds, and `{file = "PATH"}` for
what a file does. Relative paths start at the settings file, in a variable at the working directory.

Settings are read when the server starts; a restart applies a change. `lightphon doctor` checks them.
"""
_FILE_INTRODUCTION = """\
# The settings of LightPhon. What is commented out shows the default, or an example where there is none.
# A restart of `lightphon serve` applies a change; `lightphon doctor` checks it.
# Each setting has an environment variable, which wins: LIGHTPHON_SERVER_PORT is `port` of [server].
"""


def markdown(plugins: Mapping[str, type[Any]]) -> str:
    """The reference of every setting, those of `plugins` (settings classes, by the plugin's name) at its end."""
    return "\n".join([_INTRODUCTION, *(_as_markdown(section) for section in sections(plugins))])


def settings_file(plugins: Mapping[str, type[Any]], *, data_dir: str | Path) -> str:
    """A TOML file that sets `data_dir` and, once something in it is uncommented, all else."""
    tables = [section for section in sections(plugins) if section.table is not None]
    return "\n".join([_FILE_INTRODUCTION, *(_as_toml(section, data_dir) for section in tables)])


def _as_markdown(section: Section) -> str:
    title = f"`[{section.table}]`" if section.table else "Above the first table"
    if section.table is None:
        title = f"Variables `{section.prefix}_...`"
    head = ("Setting", "Variable", "Type", "Default", "What it is")
    rows: Iterable[tuple[str, ...]] = (_row(option, section) for option in section.options)
    table = [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join([f"## {title}", "", section.about, "", *table, ""])


def _row(option: Option, section: Section) -> tuple[str, ...]:
    name = "" if section.table is None else f"`{option.name}`"
    default = "required" if option.required else "" if option.default is None else f"`{option.default}`"
    example = "" if option.example is None else f" Example: `{option.example}`."
    cells = (name, f"`{option.variable}`" if option.variable else "", option.type, default)
    return tuple(cell.replace("|", "\\|") for cell in (*cells, option.help + example))


def _as_toml(section: Section, data_dir: str | Path) -> str:
    # An empty table is one that lacks what it requires.
    mark = "#" if any(option.required for option in section.options) else ""
    lines = [f"# {section.about}", f"{mark}[{section.table}]", ""] if section.table else []
    for option in section.options:
        lines.append(f"# {option.help}")
        if option.name == "data_dir" and not section.table:
            lines.append(f"data_dir = {toml(data_dir)}")
        elif option.default is not None and not (option.example and option.default in ("[]", "{}")):
            lines.append(f"#{option.name} = {option.default}")
        else:
            note = "required" if option.required else "an example"
            lines.append(f"#{option.name} = {option.example or _blank(option)}  # {note}")
        lines.append("")
    return "\n".join(lines)


def _blank(option: Option) -> str:
    return '"..."' if option.type in ("text", "secret text", "path") else "0"
