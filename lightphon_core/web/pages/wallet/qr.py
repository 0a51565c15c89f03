"""What is to be paid as a QR code: one path for an inline SVG. Pure."""

from __future__ import annotations

import segno
from attrs import frozen

QUIET = 4
"""The bright margin that scanners need, in modules (ISO/IEC 18004)."""


@frozen
class QrCode:
    """`size` modules each way, the margin included; `path` draws the dark ones."""

    size: int
    path: str


def lightning_uri(invoice: str) -> str:
    """What a Lightning wallet opens. In capitals, as invoices may be written, so that its code has fewer modules."""
    return f"lightning:{invoice}".upper()


def qr_code(text: str) -> QrCode | None:
    """The code of `text`; None where it is too long for any."""
    try:
        rows = [bytes(row) for row in segno.make_qr(text, error="l", boost_error=False).matrix]
    except segno.DataOverflowError:
        return None
    return QrCode(len(rows) + 2 * QUIET, "".join(_runs(rows)))


def _runs(rows: list[bytes]) -> list[str]:
    """Each run of dark modules in a row as a bar of height 1."""
    found = []
    for y, row in enumerate(rows):
        x = 0
        while (x := row.find(1, x)) >= 0:
            end = row.find(0, x)
            width = (len(row) if end < 0 else end) - x
            found.append(f"M{x + QUIET} {y + QUIET}h{width}v1h-{width}z")
            x += width
    return found
