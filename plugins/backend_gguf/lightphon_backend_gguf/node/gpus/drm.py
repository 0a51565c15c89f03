"""AMD's and Intel's GPUs, as Linux shows them in /sys/class/drm. No tool of theirs is needed."""

import re
from pathlib import Path

from lightphon_backend_gguf.node.gpus.reading import Reading, sendable_name
from lightphon_backend_gguf.protocol.hardware import Gpu

MAKERS = {"0x1002": "AMD", "0x8086": "Intel"}
"""PCI's numbers of the makers whose GPUs are read here. NVIDIA's have a source of their own."""


def read(maker: str | None = None, drm: Path = Path("/sys/class/drm")) -> tuple[Reading, ...]:
    """The GPUs of one maker, or of both. Intel's tell neither memory nor load here."""
    cards = sorted((card for card in drm.glob("card*") if re.fullmatch(r"card\d+", card.name)), key=lambda c: c.name)
    found = []
    for card in cards:
        made_by = MAKERS.get(_text(card, "vendor"))
        if made_by is not None and maker in (None, made_by):
            found.append(_card(card, made_by))
    return tuple(found)


def _card(card: Path, maker: str) -> Reading:
    total, used = _number(card, "mem_info_vram_total"), _number(card, "mem_info_vram_used")
    percent = _number(card, "gpu_busy_percent")
    name = _text(card, "product_name") or f"{maker} GPU {_text(card, 'device')}"
    return Reading(
        Gpu(sendable_name(name) or f"{maker} GPU", total),
        free=max(0, total - used) if total is not None and used is not None else None,
        busy=min(percent, 100) / 100 if percent is not None else None,
    )


def _text(card: Path, name: str) -> str:
    try:
        return (card / "device" / name).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(card: Path, name: str) -> int | None:
    text = _text(card, name)
    return int(text) if re.fullmatch(r"\d{1,18}", text) else None
