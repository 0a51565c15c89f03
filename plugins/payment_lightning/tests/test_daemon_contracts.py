"""LND, Core Lightning and phoenixd under the core's contracts, against servers that speak as they do."""

from collections.abc import AsyncIterator, Mapping

import pytest
from attrs import evolve
from lightphon_payment_lightning.chosen import Chosen
from lightphon_payment_lightning.deposits import LightningDeposits
from lightphon_payment_lightning.network import Network
from lightphon_payment_lightning.payouts import LightningPayouts
from lightphon_payment_lightning.settings import LightningSettings
from lightphon_payment_lightning.testing.cln import ClnServer
from lightphon_payment_lightning.testing.node import invoice_over
from lightphon_payment_lightning.testing.phoenixd import PhoenixdServer
from lightphon_payment_lightning.testing.rigs import KINDS, Rig, rig_of

from lightphon_core import Opened, PaymentProvider, PayoutProvider
from lightphon_core.host import SystemClock
from lightphon_core.testing import host_for
from lightphon_core.testing.payments.contract import PaymentProviderContract
from lightphon_core.testing.payouts.contract import PayoutProviderContract
from lightphon_core.testing.sides import Can, Payee, Payer


class HourAhead(SystemClock):
    """To Core Lightning's wallet what failed is final once xpay's time is over: the suites do not wait for that."""

    def now(self) -> float:
        return super().now() + 3_600


@pytest.fixture(params=KINDS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig_of(request.param, clock=HourAhead() if request.param == "cln" else None) as rig:
        yield rig


class _Sides:
    """A hand on the daemon."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.secrets = (rig.secret,)

    def chosen(self) -> Chosen:
        return Chosen(self.rig.wallet(), Network.REGTEST)

    async def cut(self) -> None:
        await self.rig.server.refuse()

    async def mend(self) -> None:
        await self.rig.server.listen()

    async def lose_reply(self) -> None:
        self.rig.server.loses_reply = True


class DaemonPayer(_Sides, Payer):
    """Pays the daemon's invoices."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig)
        can = {Can.CUT, Can.LOSE, Can.AMOUNT, Can.EXPIRE, Can.PAY_LATE, Can.STRANGER}
        if isinstance(rig.server, PhoenixdServer):
            can.add(Can.WEBHOOK)
        if not isinstance(rig.server, ClnServer):
            can.add(Can.REPEAT)
        self.can = frozenset(can)

    def provider(self) -> PaymentProvider:
        return LightningDeposits(self.chosen(), host_for(LightningSettings(), plugin="lightning"))

    async def pay(self, opened: Opened, amount: int | None = None) -> int:
        received = self.rig.node.receive(opened.ref, amount).received
        assert received is not None
        return received - received % 1_000 if isinstance(self.rig.server, PhoenixdServer) else received

    async def expire(self, opened: Opened) -> None:
        self.rig.node.expire(opened.ref)

    async def repeat(self, opened: Opened) -> None:
        self.rig.node.tell(self.rig.node.receivables[opened.ref])

    async def pay_stranger(self) -> None:
        self.rig.node.receive(self.rig.node.receivable(1_000).payment_hash)

    def webhook(self, opened: Opened) -> tuple[Mapping[str, str], bytes]:
        assert isinstance(self.rig.server, PhoenixdServer)
        # Of what is not paid yet, and of what is not the daemon's, too.
        known = self.rig.node.receivables.get(opened.ref) or self.rig.node.receivable(21_000)
        return self.rig.server.webhook(evolve(known, payment_hash=opened.ref, received=known.amount))


class DaemonPayee(_Sides, Payee):
    """Is paid by the daemon."""

    can = frozenset({Can.CUT, Can.LOSE, Can.HOLD, Can.REFUSE, Can.FEE, Can.STRANGER})
    wrong = ("lnbcrt1", "lnbc210n1", "nobody")

    def provider(self) -> PayoutProvider:
        return LightningPayouts(self.chosen(), host_for(LightningSettings(), plugin="lightning"))

    async def invoice(self, amount: int | None) -> str:
        assert amount is not None
        return invoice_over(amount)[1]

    async def received(self, ref: str) -> int:
        sent = self.rig.node.sent.get(ref)
        return sent.amount if sent is not None and sent.state == "paid" else 0

    async def hold(self) -> None:
        self.rig.node.holds = True

    async def take(self, ref: str) -> None:
        self.rig.node.end(ref, "paid")

    async def send_back(self, ref: str) -> None:
        self.rig.node.end(ref, "failed")

    async def refuse(self) -> None:
        self.rig.node.fails = True

    async def charge(self, fee: int) -> None:
        self.rig.node.fee = fee

    async def pay_stranger(self) -> str:
        return self.rig.node.begin(invoice_over(5_000)[1]).payment_hash


class TestDeposits(PaymentProviderContract):
    @pytest.fixture
    def payer(self, rig: Rig) -> Payer:
        return DaemonPayer(rig)


class TestPayouts(PayoutProviderContract):
    @pytest.fixture
    def payee(self, rig: Rig) -> Payee:
        return DaemonPayee(rig)
