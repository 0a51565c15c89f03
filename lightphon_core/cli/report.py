"""What commands print about records: times and tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from lightphon_core.log.lines import printable


def iso_time(microseconds: int | None) -> str | None:
    """A stored time as ISO 8601, in UTC and whole seconds: 2026-11-22T13:50:00Z."""
    if microseconds is None:
        return None
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell. What others have put into one moves nobody's cursor."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
