"""The demo wallet under the contract suites, with a Lightning address whose server is a real one over TLS."""

import hashlib
import json

import bolt11
import pytest
from lightphon_payment_lightning import invoices
from lightphon_payment_lightning.chosen import Chosen
from lightphon_payment_lightning.deposits import LightningDeposits
from lightphon_payment_lightning.network import Network
from lightphon_payment_lightning.payouts import LightningPayouts
from lightphon_payment_lightning.settings import LightningSettings
from lightphon_payment_lightning.wallets.demo import Demo, DemoSettings

from lightphon_core import NewDeposit, Payment
from lightphon_core.host import SystemClock
from lightphon_core.testing import Can, Payee, Payer, PaymentProviderContract, PayoutProviderContract, host_for

METADATA = '[["text/plain", "Bob"]]'


class Clock(SystemClock):
    """The real one, put forward."""

    ahead = 0.0

    def now(self):
        return super().now() + self.ahead


class DemoPayer(Payer):
    can = frozenset({Can.EXPIRE, Can.STRANGER})

    def __init__(self):
        self.clock = Clock()
        self.host = host_for(LightningSettings(), clock=self.clock)
        self.wallet = Demo(DemoSettings(), self.host)

    def provider(self):
        return LightningDeposits(Chosen(self.wallet, Network.REGTEST), self.host)

    async def pay(self, opened, amount=None):
        assert amount is None
        return self.wallet.pay_in(opened.pay["invoice"])

    async def expire(self, opened):
        self.clock.ahead = opened.expires_at - SystemClock().now() + 1

    async def pay_stranger(self):
        self.wallet.pay_in(await self.wallet.invoice(NewDeposit("another program's", 1_000, "", 60)))


class DemoPayee(Payee):
    can = frozenset({Can.ADDRESS, Can.STRANGER})
    wrong = (
        "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqq",
        "somebody@",
        "somebody@127.0.0.1",
    )

    def __init__(self, server):
        self.host = host_for(LightningSettings())
        self.wallet = Demo(DemoSettings(), self.host)
        self.server = server
        server.script = self._answer

    def provider(self):
        return LightningPayouts(Chosen(self.wallet, Network.REGTEST), self.host, self.server.client())

    async def invoice(self, amount):
        return self.wallet.outside(amount)

    async def received(self, ref):
        asked = self.wallet._asked[ref]
        return asked.amount if asked.paid else 0

    async def pay_stranger(self):
        found = invoices.decode(self.wallet.outside(1_000)).invoice
        await self.wallet.pay(Payment("not_ours", found.ref, found.text, 1_000, 0))
        return found.ref

    async def address(self, *, known=True):
        return f"{'bob' if known else 'nobody'}@pay.example:{self.server.port}"

    def _answer(self, writer, path):
        if path.startswith("/pay?amount="):
            answer = {"pr": self._described(int(path.partition("=")[2]))}
        elif path.endswith("/bob"):
            callback = f"https://pay.example:{self.server.port}/pay"
            limits = {"minSendable": 1_000, "maxSendable": 10**11}
            answer = {"tag": "payRequest", "callback": callback, "metadata": METADATA, **limits}
        else:
            answer = {"status": "ERROR", "reason": "nobody"}
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def _described(self, amount):
        invoice = bolt11.decode(self.wallet.outside(amount))
        invoice.tags.tags = [tag for tag in invoice.tags if tag.char is not bolt11.TagChar.description]
        invoice.tags.add(bolt11.TagChar.description_hash, hashlib.sha256(METADATA.encode()).hexdigest())
        return bolt11.encode(invoice, "e1" * 32)


class TestDeposits(PaymentProviderContract):
    @pytest.fixture
    def payer(self):
        return DemoPayer()


class TestPayouts(PayoutProviderContract):
    @pytest.fixture
    def payee(self, address_server):
        return DemoPayee(address_server)
