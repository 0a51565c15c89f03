"""How large an image is, by its first bytes: what is no picture, or would fill the memory, is not for engines.

Pure. llama.cpp hands what it does not know for an image to ffmpeg, which may fetch what a text in it names; and some
kilobytes of a file may stand for thousands of millions of pixels.
Formats: the PNG specification (IHDR); GIF89a; BITMAPINFOHEADER; RFC 9649 (WebP); ITU-T T.81, B.2.2 (JPEG frames).
"""

import struct

KINDS = "PNG, JPEG, GIF, WebP and BMP"

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of frames, which tell the size."""

_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers that have no segment."""


def pixels(image: bytes) -> int | None:
    """How many pixels an image has; None for what is not the beginning of one."""
    try:
        width, height = _size(image)
    except (struct.error, IndexError):
        return None
    return width * height or None


def _size(image: bytes) -> tuple[int, int]:
    """Width and height; zeros for what is no image. struct.error or IndexError where it ends too early."""
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        kind, width, height = struct.unpack_from(">4sII", image, 12)
        return (width, height) if kind == b"IHDR" else (0, 0)
    if image.startswith(b"\xff\xd8\xff"):
        return _jpeg(image)
    if image.startswith((b"GIF87a", b"GIF89a")):
        width, height = struct.unpack_from("<HH", image, 6)
        return width, height
    if image.startswith(b"RIFF") and image[8:12] == b"WEBP":
        return _webp(image)
    if image.startswith(b"BM"):
        width, height = struct.unpack_from("<HH" if image[14] == 12 else "<ii", image, 18)
        return abs(width), abs(height)
    return 0, 0


def _jpeg(image: bytes) -> tuple[int, int]:
    at = 2
    while image[at] == 0xFF:
        marker = image[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", image, at + 5)
            return width, height
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            (length,) = struct.unpack_from(">H", image, at + 2)
            at += 2 + max(length, 2)
    return 0, 0


def _webp(image: bytes) -> tuple[int, int]:
    kind = image[12:16]
    if kind == b"VP8X":
        width, wide, height, high = struct.unpack_from("<HBHB", image, 24)
        return 1 + (wide << 16 | width), 1 + (high << 16 | height)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", image, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", image, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0
