"""/nodes: one's own nodes as they are now, what they earn and ask, and how to add one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from attrs import frozen
from litestar import Response, get

from lightphon_core.accounts.credentials import Credential, list_credentials
from lightphon_core.accounts.secrets import Kind
from lightphon_core.ledger.earnings import EarningsReader
from lightphon_core.serving.gateway import Gateway
from lightphon_core.settings import Settings
from lightphon_core.storage.engine import Connection, Database
from lightphon_core.storage.schema import microseconds
from lightphon_core.types import MODEL_HERE, TOKEN_HERE, NodeSetup
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.nodes import OwnNode, nodes_of
from lightphon_core.web.pages.frame.prices import price_in_words
from lightphon_core.web.pages.frame.rendering import Asked, own_origin, page
from lightphon_core.web.pages.frame.visitors import Visitor


@frozen
class Token:
    """A node token, and the names of the nodes that are connected with it. Times are in seconds since 1970."""

    id: str
    name: str
    hint: str
    created_at: float
    expires_at: float | None
    is_expired: bool
    nodes: Sequence[str]


@get("/nodes", name="nodes-page")
async def nodes_page(
    request: Asked,
    visitor: Given[Visitor],
    gateway: Given[Gateway],
    database: Given[Database],
    earnings: Given[EarningsReader],
    settings: Given[Settings],
) -> Response[str]:
    """The page, for who is logged in."""
    account = visitor.account.id
    income = await earnings.income(account)
    credentials = await database.read(partial(_node_tokens, account=account))
    connected = await nodes_of(account, gateway, database)
    return page(
        request,
        "network/nodes.html",
        visitor,
        income=income,
        terms=terms_in_words(settings),
        nodes=connected,
        tokens=tokens_shown(credentials, connected, now=gateway.clock.now()),
        setups=await setups_of(gateway, own_origin(request, settings)),
        token_here=TOKEN_HERE,
        model_here=MODEL_HERE,
        price_in_words=price_in_words,
    )


def terms_in_words(settings: Settings) -> str:
    """What of an answer's price its node's owner gets, and when."""
    share = 100 - settings.pricing.house_bps / 100
    ledger = settings.ledger
    if ledger.earnings_delay_s == ledger.card_earnings_delay_s:
        when = _delay(ledger.earnings_delay_s)
    else:
        card = _delay(ledger.card_earnings_delay_s)
        when = f"{_delay(ledger.earnings_delay_s)}; of what was paid by card {card}, since it can be disputed"
    return f"Of what an answer costs, {share:g} % is for who runs the node: {when}."


def _delay(seconds: int) -> str:
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= unit:
            number = round(seconds / unit)
            return f"after {number} {name}{'' if number == 1 else 's'}"
    return "at once"


def tokens_shown(credentials: Sequence[Credential], connected: Sequence[OwnNode], *, now: float) -> list[Token]:
    """The tokens, the latest first. `now` is in seconds since 1970."""
    return [
        Token(
            each.id,
            each.terms.name,
            each.hint,
            each.created_at / 1_000_000,
            None if each.terms.expires_at is None else each.terms.expires_at / 1_000_000,
            each.terms.expires_at is not None and each.terms.expires_at <= microseconds(now),
            [node.name for node in connected if node.token == each.id],
        )
        for each in reversed(credentials)
    ]


async def setups_of(gateway: Gateway, server: str) -> list[NodeSetup]:
    """How a node is added, by each backend that takes any. One that fails to say it is left out."""
    found = []
    for backend in gateway.catalogue.backends:
        try:
            setup = await backend.node_setup(server)
        except Exception as error:
            gateway.log.error("a backend failed to say how a node is added", backend=backend.name, exc_info=error)
            continue
        if setup is not None:
            found.append(setup)
    return found


def _node_tokens(connection: Connection, account: str) -> list[Credential]:
    return list_credentials(connection, account_id=account, kind=Kind.NODE_TOKEN, revoked=False)
