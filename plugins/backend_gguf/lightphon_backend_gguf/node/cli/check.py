"""`lightphon-node check`."""

import click


@click.command()
def check() -> None:
    """Tell what would run."""
