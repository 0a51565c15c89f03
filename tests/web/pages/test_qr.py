"""QR codes draw what segno says, with a margin."""

import re

import segno

from lightphon_core.web.pages.wallet.qr import QUIET, lightning_uri, qr_code


def drawn(code):
    """The dark modules of the path, without the margin."""
    found = set()
    for x, y, width, back in re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", code.path):
        assert width == back
        found |= {(int(x) + more - QUIET, int(y) - QUIET) for more in range(int(width))}
    return found


def test_every_module_is_drawn():
    text = lightning_uri("lnbcrt10u1" + "q" * 200)
    code, expected = qr_code(text), segno.make_qr(text, error="l", boost_error=False)
    assert code.size == expected.symbol_size(border=QUIET)[0]
    assert drawn(code) == {(x, y) for y, row in enumerate(expected.matrix) for x, dark in enumerate(row) if dark}


def test_capitals_make_a_smaller_code():
    """Nothing but capitals and digits: one character takes five and a half bits, not eight."""
    invoice = "lnbc10u1p" + "3x7zqk" * 50
    assert lightning_uri(invoice) == f"LIGHTNING:{invoice.upper()}"
    assert qr_code(lightning_uri(invoice)).size < qr_code(f"lightning:{invoice}").size


def test_what_is_too_long_has_no_code():
    assert qr_code("x" * 5_000) is None
