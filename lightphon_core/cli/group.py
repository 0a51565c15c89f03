"""How the command line reports errors."""

from __future__ import annotations

from typing import Any

import click

from lightphon_core.errors import LightPhonError


class Failure(click.ClickException):
    """Shown as "Error: ..." on stderr."""

    exit_code = 2


class ErrorsAsOneLine(click.Group):
    """A group under which a `LightPhonError` of any command ends as one line on stderr, with exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LightPhonError as error:
            raise Failure(" ".join(error.message.split())) from error
