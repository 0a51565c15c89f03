"""Usage as a table for spreadsheets: comma-separated values (RFC 4180). Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Final

from lightphon_core.money import sats
from lightphon_core.web.api.usage import Used

COLUMNS: Final = (
    "day", "model", "key", "key_name", "answers", "prompt_tokens", "completion_tokens", "seconds", "cost_sats",
)  # fmt: skip
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


def as_csv(rows: Iterable[Used]) -> str:
    """The rows under a head. What people named cannot become a formula of the spreadsheet that opens it."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        names = [harmless(text or "") for text in (row.model, row.key, row.key_name)]
        tokens = [row.requests, row.prompt_tokens, row.completion_tokens]
        writer.writerow([row.day or "", *names, *tokens, f"{row.ms / 1000:.3f}", sats(row.cost_msat)])
    return written.getvalue()


def harmless(text: str) -> str:
    """The text as a cell that is no formula: one that would be begins with an apostrophe."""
    return f"'{text}" if text.lstrip().startswith(_FORMULAS) or text.startswith(_FORMULAS) else text
