"""How a command of `lightphon-node` ends when the operator has to mend something first."""

import click

DISTRIBUTION = "lightphon-backend-gguf"


class Stop(click.ClickException):
    """One line on standard error, then exit status 2."""

    exit_code = 2
