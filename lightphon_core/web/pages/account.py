"""/account: one's own account. Another password, and leaving."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from lightphon_core.accounts.passwords import MIN_LENGTH
from lightphon_core.accounts.sessions import count_others
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Database
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor


@get("/account", name="account-page")
async def account(
    request: Asked,
    visitor: Given[Visitor],
    database: Given[Database],
    gateway: Given[Gateway],
    changed: Annotated[bool, QueryParameter(description="The password has just been changed.")] = False,
) -> Response[str]:
    """The page. Everything on it is done by the JSON API."""
    own = visitor.principal.credential_id
    others = partial(count_others, account_id=visitor.account.id, session_id=own, now=gateway.clock.now())
    elsewhere = await database.read(others)
    return page(request, "account.html", visitor, changed=changed, elsewhere=elsewhere, least=MIN_LENGTH)
