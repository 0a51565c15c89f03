"""How the command line finds its commands, and reports errors."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import click
from attrs import frozen

from lightphon_core.errors import LightPhonError, said_by
from lightphon_core.log.lines import printable


class Failure(click.ClickException):
    """Shown as "Error: ..." on stderr."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))  # it may be a server's, or hold what was typed


class ErrorsAsOneLine(click.Group):
    """A group under which a `LightPhonError` of any command ends as one line on stderr, with exit status 2. So do what
    the system refuses, and text that is none."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LightPhonError as error:
            raise Failure(" ".join(error.message.split())) from error
        except UnicodeEncodeError as error:  # the shell passes bytes on that are no text
            raise Failure("Something in the command or the environment has bytes that are no UTF-8 text.") from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads has enough, as `| head` does: click knows
                raise
            what = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{what}{said_by(error)}") from error


@frozen
class Listed:
    """A command that is imported when it is called: "module:name" below this package, and what `--help` says of it."""

    where: str
    summary: str

    def load(self) -> click.Command:
        """The command itself."""
        module, _, name = self.where.partition(":")
        found: click.Command = getattr(import_module(f"{__package__}.{module}"), name)
        return found


class Commands(ErrorsAsOneLine):
    """A group that imports what a command needs only when it is called: a list of keys needs no web server.

    `listed` are its own commands. `others` adds those of plugins, once a name is asked for that is none of its own.
    """

    def __init__(
        self, *args: Any, listed: Mapping[str, Listed], others: Callable[[click.Group], object], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._listed = listed
        self._others: Callable[[click.Group], object] | None = others

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*self._listed, *self._added()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name in self._listed:
            return self._listed[cmd_name].load()
        return self._added().get(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        rows = [(name, listed.summary) for name, listed in self._listed.items()]
        added = sorted(self._added().items())
        rows += [(name, command.get_short_help_str(formatter.width)) for name, command in added if not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _added(self) -> Mapping[str, click.Command]:
        if self._others is not None:
            others, self._others = self._others, None
            others(self)
        return {name: command for name, command in self.commands.items() if name not in self._listed}
