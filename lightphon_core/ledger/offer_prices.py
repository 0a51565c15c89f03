"""What accounts ask for the models of their nodes: kept in the database, and read from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import asdict, frozen
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from lightphon_core.errors import InvalidRequest, StorageUnavailable
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import PRICE_PARTS, offer_prices
from lightphon_core.types import Offer, Price

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

MOST_PRICES = 1_000
"""That one account may set."""
REFRESH_S = 30.0
"""How often the prices that other gateways on the same database set are read."""


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


class OfferPrices:
    """All of them in memory, for one application: an offer is priced without a query. A change made here holds once it
    is on disk; one that was made by another gateway within `REFRESH_S` seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prices: Mapping[Priced, Price] = {}
        self._changes = 0
        self._listeners: list[Callable[[frozenset[tuple[str, str]]], None]] = []

    def subscribe(self, listener: Callable[[frozenset[tuple[str, str]]], None]) -> None:
        """Have `listener` called with the (node id, model id) of each price that is no longer what it was."""
        self._listeners.append(listener)

    def of(self, offer: Offer) -> Price | None:
        """The price that the owner's account set for this offer; None where it set none."""
        owner = offer.node.owner
        return None if owner is None else self._prices.get(Priced(owner, offer.node.id, offer.model.id))

    async def set(self, priced: Priced, price: Price) -> None:
        """Ask this price from now on. Raises `InvalidRequest` or `StorageUnavailable`."""

        def change(connection: Connection) -> dict[Priced, Price]:
            set_price(connection, priced, price)
            return all_prices(connection)

        self._changed(await self._database.write(change))

    async def remove(self, priced: Priced) -> bool:
        """Ask no price for this any more. Whether there was one. Raises `StorageUnavailable`."""

        def change(connection: Connection) -> tuple[bool, dict[Priced, Price]]:
            return remove_price(connection, priced), all_prices(connection)

        removed, prices = await self._database.write(change)
        self._changed(prices)
        return removed

    async def refresh(self) -> None:
        """Read them all. Raises `StorageUnavailable`."""
        changes = self._changes
        prices = await self._database.read(all_prices)
        if changes == self._changes:  # else what was read may be older than what was written meanwhile
            self._replace(prices)

    async def keep(self, log: BoundLogger) -> None:
        """Refresh now and then, until cancelled. Where the database does not answer, the last known prices hold."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
            except StorageUnavailable as error:
                log.warning("prices that accounts set were not read", error=error.message)

    def _changed(self, prices: Mapping[Priced, Price]) -> None:
        self._changes += 1
        self._replace(prices)

    def _replace(self, prices: Mapping[Priced, Price]) -> None:
        earlier, self._prices = self._prices, prices
        if earlier == prices:
            return
        changed = {each for each in earlier.keys() | prices.keys() if earlier.get(each) != prices.get(each)}
        for listener in self._listeners:
            listener(frozenset((each.node, each.model) for each in changed))


def _this(priced: Priced) -> tuple[ColumnElement[bool], ...]:
    table = offer_prices.c
    return table.account_id == priced.account, table.node_id == priced.node, table.model == priced.model
