"""Tells a node how its account stands: what it has earned, and what each of its offers costs."""

import asyncio

from lightphon_backend_gguf.hub.connection import Connection
from lightphon_backend_gguf.hub.settings import GgufSettings
from lightphon_backend_gguf.hub.translate import to_account
from lightphon_core import Earnings, Host, StorageUnavailable

SETTLE_S = 0.5
"""Changes of a node's offers within so many seconds are told at once: a flood of them is not answered with another."""


class AccountTeller:
    """For one connection. Earnings are read every `settings.account_s` seconds, whatever the node does; prices are in
    memory, and told anew soon after its offers change."""

    def __init__(self, host: Host[GgufSettings], connection: Connection) -> None:
        self._host = host
        self._connection = connection
        self._news = asyncio.Event()

    def offers_changed(self) -> None:
        """The node's offers have changed."""
        self._news.set()

    async def run(self) -> None:
        """Tell it now, and then whenever there is something new, until cancelled."""
        clock = asyncio.get_running_loop().time
        earnings: Earnings | None = None
        due = clock()
        while True:
            if clock() >= due:
                earnings = await self._earnings() or earnings
                due = clock() + self._host.settings.account_s
            self._news.clear()
            self._tell(earnings)
            try:
                async with asyncio.timeout_at(due):
                    await self._news.wait()
                    await asyncio.sleep(SETTLE_S)
            except TimeoutError:
                continue

    def _tell(self, earnings: Earnings | None) -> None:
        node, session = self._connection.node, self._connection.session
        prices = {offer.id.removeprefix(f"{node.id}/"): self._host.price(offer) for offer in self._connection.offers}
        session.account(to_account(earnings, prices))
        self._connection.wake()

    async def _earnings(self) -> Earnings | None:
        owner = self._connection.node.owner
        try:
            return None if owner is None else await self._host.earnings(owner)
        except StorageUnavailable:
            return None
