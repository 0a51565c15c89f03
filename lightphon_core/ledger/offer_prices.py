"""What accounts ask for the models of their nodes: kept in the database, and read from memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import asdict, frozen
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger.kept_prices import KeptPrices
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import PRICE_PARTS, offer_prices
from lightphon_core.types import Offer, Price

MOST_PRICES = 1_000
"""That one account may set."""


@frozen
class Priced:
    """What a price is set for: a model on a node, by the account that owns the node."""

    account: str
    node: str
    model: str


def set_price(connection: Connection, priced: Priced, price: Price) -> None:
    """Ask this price from now on. Raises `InvalidRequest` where the account has set too many."""
    table, amounts = offer_prices, asdict(price)
    if connection.execute(update(table).where(*_this(priced)).values(amounts)).rowcount:
        return
    mine = select(func.count()).where(table.c.account_id == priced.account)
    if connection.execute(mine).scalar_one() >= MOST_PRICES:
        raise InvalidRequest(f"The account has set {MOST_PRICES} prices already. Remove some first.")
    row = {"account_id": priced.account, "node_id": priced.node, "model": priced.model}
    connection.execute(insert(table).values(row | amounts))


def remove_price(connection: Connection, priced: Priced) -> bool:
    """Leave the price to the node and the gateway again. Whether there was one."""
    return connection.execute(delete(offer_prices).where(*_this(priced))).rowcount > 0


def all_prices(connection: Connection) -> dict[Priced, Price]:
    """Every price that an account has set."""
    return {
        Priced(row.account_id, row.node_id, row.model): Price(*(getattr(row, name) for name in PRICE_PARTS))
        for row in connection.execute(select(offer_prices))
    }


class OfferPrices(KeptPrices[Priced]):
    """All of them, for one application."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, all_prices)

    def subscribe(self, listener: Callable[[frozenset[tuple[str, str]]], None]) -> None:
        """Have `listener` called with the (node id, model id) of each price that is no longer what it was."""
        self.on_change(lambda changed: listener(frozenset((each.node, each.model) for each in changed)))

    def of(self, offer: Offer) -> Price | None:
        """The price that the owner's account set for this offer; None where it set none."""
        owner = offer.node.owner
        return None if owner is None else self.all().get(Priced(owner, offer.node.id, offer.model.id))

    async def set(self, priced: Priced, price: Price) -> None:
        """Ask this price from now on. Raises `InvalidRequest` or `StorageUnavailable`."""
        await self.change(partial(set_price, priced=priced, price=price))

    async def remove(self, priced: Priced) -> bool:
        """Ask no price for this any more. Whether there was one. Raises `StorageUnavailable`."""
        return await self.change(partial(remove_price, priced=priced))


def _this(priced: Priced) -> tuple[ColumnElement[bool], ...]:
    table = offer_prices.c
    return table.account_id == priced.account, table.node_id == priced.node, table.model == priced.model
