"""What the hub tells a node of its account."""

import asyncio
import json

import pytest
from attrs import evolve
from lightphon_backend_gguf.hub.account import AccountTeller
from lightphon_backend_gguf.hub.settings import GgufSettings
from lightphon_backend_gguf.hub.translate import to_offer
from lightphon_backend_gguf.protocol import codec
from lightphon_backend_gguf.protocol.account import EarningsMessage, OfferPrice, PriceMessage
from lightphon_backend_gguf.protocol.hub_session import HubSession
from lightphon_backend_gguf.protocol.messages import Hello, ModelFacts, OfferMessage

from lightphon_core import Earnings, Node, Price, PriceInForce, PriceSource, StorageUnavailable
from lightphon_core.testing import host_for

HOUR = 3_600


class Connection:
    """As much of one as is needed to tell it something: a session, and what left by it."""

    def __init__(self, owner="acc_a"):
        self.node = Node("node-1", "box", owner)
        self.session = HubSession()
        self.offers = ()
        self.session.receive_text(codec.encode(Hello(name="box", software="x")))
        self.told = asyncio.Queue()

    def offer(self, *names):
        made = [OfferMessage(id=n, model=ModelFacts(id=n, capabilities=()), slots=1) for n in names]
        self.offers = tuple(to_offer(self.node, each) for each in made)

    def wake(self):
        while (message := self.session.next()) is not None:
            self.told.put_nowait(codec.decode(message))

    async def hear(self):
        async with asyncio.timeout(5):
            return await self.told.get()


class Books:
    def __init__(self):
        self.reads, self.price = 0, Price(per_minute=7)
        self.answers = [Earnings(today=1, total=10**20, pending=2)]

    async def earnings(self, account):
        self.reads += 1
        assert account == "acc_a"
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def price_of(self, offer):
        assert (offer.node.id, offer.id.partition("/")[0]) == ("node-1", "node-1")
        return PriceInForce(self.price, PriceSource.ACCOUNT)


@pytest.fixture
def books():
    return Books()


@pytest.fixture
async def tell(books):
    tasks = []

    def tell(connection, account_s=HOUR):
        host = evolve(host_for(GgufSettings(account_s=account_s)), earnings=books.earnings, price=books.price_of)
        teller = AccountTeller(host, connection)
        tasks.append(asyncio.create_task(teller.run()))
        return teller

    yield tell
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_at_once_and_again_when_the_offers_change(books, tell):
    connection = Connection()
    teller = tell(connection)
    first = await connection.hear()
    assert first.earnings == EarningsMessage(today=1, total=2**62, pending=2), "as much as a message holds"
    assert first.prices == ()
    for names in (("z",), (), ("a/b", "c")):
        connection.offer(*names)
        teller.offers_changed()
    price = PriceMessage(per_minute=7)
    second = await connection.hear()
    assert second.prices == (OfferPrice("a/b", price, "account"), OfferPrice("c", price, "account"))
    assert second.earnings == first.earnings
    assert connection.told.empty(), "what changed meanwhile is told once"
    assert books.reads == 1, "however often a node changes its offers"


async def test_again_and_again(books, tell):
    connection = Connection()
    books.answers = [Earnings(1, 1, 1), StorageUnavailable("away", retry_after=1), Earnings(2, 2, 2)]
    tell(connection, account_s=0.01)
    heard = [(await connection.hear()).earnings.today for _ in range(3)]
    assert heard == [1, 1, 2], "where the database is away, what was known last"


async def test_a_node_of_the_house_earns_nothing(books, tell):
    connection = Connection(owner=None)
    tell(connection)
    assert (await connection.hear()).earnings is None
    assert books.reads == 0


def test_a_node_that_does_not_know_the_message_ignores_it():
    assert codec.decode(json.dumps({"type": "something-newer", "x": 1})) is None
