"""/account: one's own account. Another password, and leaving."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from lightphon_core.accounts.passwords import MIN_LENGTH
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor


@get("/account", name="account-page")
async def account(
    request: Asked,
    visitor: Given[Visitor],
    changed: Annotated[bool, QueryParameter(description="The password has just been changed.")] = False,
) -> Response[str]:
    """The page. Everything on it is done by the JSON API."""
    return page(request, "account.html", visitor, changed=changed, least=MIN_LENGTH)
