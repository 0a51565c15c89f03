"""/design: every token and component of the design system on one page, to look at and to copy from."""

from __future__ import annotations

from typing import Final

from litestar import Response, get

from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor

COLOURS: Final = ("ground", "surface", "raised", "line", "text", "muted", "accent", "good", "warn", "bad")
ICONS: Final = (
    "chat", "route", "wallet", "node", "chart", "guide", "download", "pulse", "shield", "copy", "check", "plus",
    "close", "sun", "moon", "menu",
    "send", "stop", "bolt", "card", "paw", "person", "leave", "alert", "refresh", "trash", "pencil",
)  # fmt: skip


@get("/design", name="design")
async def design(request: Asked, anybody: Given[Visitor | None]) -> Response[str]:
    """The design system."""
    return page(request, "design.html", anybody, colours=COLOURS, icons=ICONS)
