"""/download, where no plugin has it: this server takes no nodes."""

from __future__ import annotations

from typing import Final

from litestar import Response, get

from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor

PATH: Final = "/download"


@get(PATH, name="no-downloads")
async def no_downloads(request: Asked, anybody: Given[Visitor | None]) -> Response[str]:
    """Why there is nothing to download, and what there is."""
    return page(request, "network/no-downloads.html", anybody)
