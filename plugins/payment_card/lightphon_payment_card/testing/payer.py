"""Somebody who pays at the pages of a `StripeServer`, for the core's contract suite."""

from __future__ import annotations

from collections.abc import Mapping

from lightphon_core import Opened, Secret
from lightphon_core.testing import host_for
from lightphon_core.testing.sides import MSAT_PER_CENT, Can, Payer
from lightphon_payment_card.deposits import CardDeposits
from lightphon_payment_card.settings import CardSettings
from lightphon_payment_card.testing.account import SECRET_KEY, WEBHOOK_SECRET, Object, event, signed
from lightphon_payment_card.testing.server import StripeServer


def settings_for(server: StripeServer) -> CardSettings:
    """Settings of a gateway that asks it."""
    return CardSettings(
        secret_key=Secret(SECRET_KEY),
        webhook_secret=Secret(WEBHOOK_SECRET),
        return_url="https://ai.example.com/",
        api_base=server.url,
    )


class CardPayer(Payer):
    """Pays by card. Stripe asks for 50 cents at least."""

    can = frozenset({Can.CUT, Can.LOSE, Can.AMOUNT, Can.EXPIRE, Can.REVERSE, Can.STRANGER, Can.WEBHOOK})
    secrets = (SECRET_KEY, WEBHOOK_SECRET)
    least = 50 * MSAT_PER_CENT
    most = 99_999_999 * MSAT_PER_CENT

    def __init__(self, server: StripeServer) -> None:
        self.server = server
        self._charges: dict[str, Object] = {}
        self._refunds: dict[str, Object] = {}

    def provider(self) -> CardDeposits:
        made = CardDeposits(host_for(settings_for(self.server), plugin="card"))
        made.asks_every_s = 0.1  # nobody calls the webhook, and the suite is in a hurry
        return made

    async def pay(self, opened: Opened, amount: int | None = None) -> int:
        cents = None if amount is None else amount // MSAT_PER_CENT
        charge = self._charges[opened.ref] = self.server.account.pay(opened.ref, cents)
        paid: int = charge["amount"]
        return paid * MSAT_PER_CENT

    async def cut(self) -> None:
        self.server.refuse()

    async def mend(self) -> None:
        self.server.listen()

    async def lose_reply(self) -> None:
        self.server.loses_reply = True

    async def expire(self, opened: Opened) -> None:
        self.server.account.expire(opened.ref)

    async def reverse(self, opened: Opened, amount: int, *, returned: bool) -> tuple[Mapping[str, str], bytes]:
        if opened.ref not in self._refunds:
            charge = self._charges[opened.ref]
            self._refunds[opened.ref] = self.server.account.refund(charge, amount // MSAT_PER_CENT)
        refund = self._refunds[opened.ref]
        refund["status"] = "failed" if returned else "succeeded"
        return signed(event("refund.updated", refund))

    async def pay_stranger(self) -> None:
        account = self.server.account
        asked = {
            "mode": "payment",
            "payment_method_types": ["card"],
            "line_items": [{"quantity": "1", "price_data": {"currency": "eur", "unit_amount": "500"}}],
            "success_url": "https://shop.example.com/",
        }
        account.pay(account.create_session(asked, "of a shop")["id"])

    def webhook(self, opened: Opened) -> tuple[Mapping[str, str], bytes]:
        found = self.server.account.sessions.get(opened.ref, {"id": opened.ref, "object": "checkout.session"})
        return signed(event("checkout.session.completed", found))
