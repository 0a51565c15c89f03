"""/admin/accounts: everybody's accounts, and each one's file."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated

from litestar import Response, get
from litestar.params import PathParameter, QueryParameter

from lightphon_core.accounts.directory import is_last_administrator
from lightphon_core.accounts.people import account_of_id
from lightphon_core.errors import NotFound
from lightphon_core.ledger import chart
from lightphon_core.ledger.statement import Line, statement
from lightphon_core.serving.gateway import Gateway
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.web.api.admin import AccountFile, account_file, account_page
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.pages.frame.rendering import Asked, page
from lightphon_core.web.pages.frame.visitors import Visitor

ON_A_PAGE = 50
LINES = 25

_NAME_PART = re.compile(r"[A-Za-z0-9._@+-]{0,64}")
_ID = re.compile(r"acc_[A-Za-z0-9]{16}")
_ENTRY = re.compile(r"ent_[0-9a-f]{26}")


@get("/admin/accounts", name="admin-accounts-page")
async def accounts(
    request: Asked,
    administrator: Given[Visitor],
    database: Given[Database],
    search: Annotated[str, QueryParameter(description="A part of the name.")] = "",
    after: Annotated[str, QueryParameter(description="Only names behind this one.")] = "",
) -> Response[str]:
    """All of them, by name, or those that contain `search`."""
    search, found = search.strip(), None
    if _NAME_PART.fullmatch(search) and _NAME_PART.fullmatch(after):  # else no name has it
        found = await database.read(partial(account_page, search=search, after=after, limit=ON_A_PAGE))
    return page(request, "admin/accounts.html", administrator, found=found, search=search, after=after)


@get("/admin/accounts/{account_id:str}", name="admin-account-page")
async def account(
    request: Asked,
    administrator: Given[Visitor],
    database: Given[Database],
    gateway: Given[Gateway],
    account_id: Annotated[str, PathParameter(description="As it was made: acc_...")],
    before: Annotated[str | None, QueryParameter(description="Only entries before this one.")] = None,
) -> Response[str]:
    """One account: wallet, keys, usage and statement."""
    if not _ID.fullmatch(account_id):
        raise NotFound("There is no account with this id.")
    if before is not None and not _ENTRY.fullmatch(before):
        raise NotFound("There is no entry with this id.")

    def look(connection: Connection) -> tuple[AccountFile, list[Line], bool]:
        found = account_file(connection, account_id, now=gateway.clock.now())
        lines = statement(connection, chart.wallets(account_id), limit=LINES + 1, before=before)
        whose = account_of_id(connection, account_id)
        return found, lines, whose is not None and is_last_administrator(connection, whose)

    found, lines, is_last = await database.read(look)
    return page(
        request,
        "admin/account.html",
        administrator,
        file=found,
        lines=lines[:LINES],
        older_entry=lines[LINES - 1].id if len(lines) > LINES else None,
        before=before,
        is_last=is_last,
    )


ROUTES = [accounts, account]
