"""The emulator of Stripe that npm has, and what it leaves out.

Its own are the pages, whether a session was paid, and the events that say so, with their signatures. It takes no price
inside a session, and its sessions lack what Stripe's have: amount, currency, reference, time, payment. The gateway is
as strict with it as with Stripe, so it asks an `Account` of ours, which fills that in, and has refunds and disputes,
which the emulator has not.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightphon_payment_card.testing.account import WEBHOOK_SECRET, Account, Object, Wrong
from stripe import InvalidRequestError, StripeClient

from lightphon_core.testing.process import free_port

SCRIPT = Path(__file__).parent / "emulator.mjs"
TAKEN_OVER = ("id", "metadata", "mode", "payment_status", "status", "success_url", "url", "livemode")
"""What is the emulator's word alone."""


class EmulatedAccount(Account):
    """Sessions are the emulator's."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._stripe = StripeClient("sk_test_of_the_emulator", base_addresses={"api": url})

    def session(self, name: str) -> Object:
        session = super().session(name)
        try:
            found = self._stripe.v1.checkout.sessions.retrieve(name).to_dict()
        except InvalidRequestError as error:
            raise Wrong(str(error), code="resource_missing", status=404) from None
        if found["payment_status"] == "paid" and session["payment_intent"] is None:
            super().complete(name, "paid")
        return session | {key: found[key] for key in TAKEN_OVER}

    def _session(self, asked: Object) -> Object:
        made = super()._session(asked)
        (item,) = asked["line_items"]
        data = item["price_data"]
        product = self._stripe.v1.products.create({"name": data["product_data"]["name"]})
        price = self._stripe.v1.prices.create(
            {"product": product.id, "currency": data["currency"], "unit_amount": int(data["unit_amount"])}
        )
        found = self._stripe.v1.checkout.sessions.create(
            {
                "mode": asked["mode"],
                "line_items": [{"price": price.id, "quantity": int(item["quantity"])}],
                "metadata": asked["metadata"],
                "success_url": asked["success_url"],
                "cancel_url": asked["cancel_url"],
            }
        ).to_dict()
        return made | {key: found[key] for key in TAKEN_OVER}


@contextmanager
def emulator(folder: str, webhook_url: str) -> Iterator[str]:
    """Its address. It is told where its webhooks go when it starts."""
    command = ["node", str(SCRIPT), folder, str(free_port()), webhook_url, WEBHOOK_SECRET]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http"), "the emulator has started"
            yield url
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)
