"""What administrators ask for models, whatever their nodes ask: kept in the database, and read from memory. A price
that the settings file has for a model comes before these."""

from __future__ import annotations

from functools import partial

from attrs import asdict
from sqlalchemy import Connection, delete, func, insert, select, update

from lightphon_core.errors import InvalidRequest
from lightphon_core.ledger.kept_prices import KeptPrices
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import PRICE_PARTS, model_prices
from lightphon_core.types import Price

MOST_PRICES = 1_000


def set_price(connection: Connection, model: str, price: Price) -> None:
    """Ask this price for the model of this id. Raises `InvalidRequest` where there are too many prices."""
    amounts = asdict(price)
    if connection.execute(update(model_prices).where(model_prices.c.model == model).values(amounts)).rowcount:
        return
    if connection.execute(select(func.count()).select_from(model_prices)).scalar_one() >= MOST_PRICES:
        raise InvalidRequest(f"There are {MOST_PRICES} prices of models already. Remove some first.")
    connection.execute(insert(model_prices).values({"model": model, **amounts}))


def remove_price(connection: Connection, model: str) -> bool:
    """Leave the price to accounts and nodes again. Whether there was one."""
    return connection.execute(delete(model_prices).where(model_prices.c.model == model)).rowcount > 0


def all_prices(connection: Connection) -> dict[str, Price]:
    """Every one, by the model's id."""
    rows = connection.execute(select(model_prices))
    return {row.model: Price(*(getattr(row, name) for name in PRICE_PARTS)) for row in rows}


class ModelPrices(KeptPrices[str]):
    """All of them, for one application, by the model's id."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, all_prices)

    async def set(self, model: str, price: Price) -> None:
        """Ask this price from now on. Raises `InvalidRequest` or `StorageUnavailable`."""
        await self.change(partial(set_price, model=model, price=price))

    async def remove(self, model: str) -> bool:
        """Ask no price for this any more. Whether there was one. Raises `StorageUnavailable`."""
        return await self.change(partial(remove_price, model=model))
