"""Lightning as it pays people out: the core's `PayoutProvider` over the operator's Lightning wallet."""

from __future__ import annotations

from collections.abc import Sequence

from lightphon_core import (
    Address,
    Destination,
    Host,
    InvalidRequest,
    Invoice,
    Outgoing,
    Payment,
    PaymentState,
    PayoutProvider,
)
from lightphon_payment_lightning.addresses import (
    AddressError,
    invoice_text_of,
    offer_of,
    pay_target,
    url_of,
)
from lightphon_payment_lightning.chosen import Chosen
from lightphon_payment_lightning.deposits import NAME
from lightphon_payment_lightning.guarded import GuardedClient
from lightphon_payment_lightning.invoices import MAX_TEXT, InvoiceError, checked, decode
from lightphon_payment_lightning.public import is_public
from lightphon_payment_lightning.settings import LightningSettings

PARAM = "destination"


class LightningPayouts(PayoutProvider):
    """Pays BOLT 11 invoices, and asks Lightning addresses for them. `LightningDeposits` starts and stops the wallet."""

    name = NAME

    def __init__(self, chosen: Chosen, host: Host[LightningSettings], client: GuardedClient | None = None) -> None:
        self._wallet = chosen.wallet
        self._network = chosen.network
        self._clock = host.clock
        private = host.settings.allow_private_addresses
        self._client = client or GuardedClient(permits=(lambda _: True) if private else is_public)

    def read(self, destination: str) -> Destination:
        """A BOLT 11 invoice, a Lightning address or an LNURL; the first and the last also in capitals, as QR codes
        have them, and after "lightning:"."""
        text = destination.strip()
        if text[:10].lower() == "lightning:":
            text = text[10:]
        try:
            if len(text) > MAX_TEXT:
                raise InvoiceError("This is too long for a Lightning invoice.")
            if "@" in text or text[:6].lower() == "lnurl1":
                url_of(text)
                return Address(text.lower())
            found = decode(text)
        except (InvoiceError, AddressError) as error:
            raise InvalidRequest(str(error), param=PARAM) from None
        if found.network is not self._network:
            raise InvalidRequest(
                f"This invoice is of the network {found.network.value}; this server pays on {self._network.value}.",
                param=PARAM,
            )
        return found.invoice

    async def resolve(self, address: Address, amount: int) -> Invoice:
        """LUD-06 and LUD-16: what the address takes, then an invoice over the amount, both over guarded requests."""
        try:
            url = url_of(address.text)
            offer = offer_of(await self._client.get_json(url), url)
            text = invoice_text_of(await self._client.get_json(pay_target(offer, amount)), url)
            found = checked(text, self._network, amount=amount, now=self._clock.now())
        except AddressError as error:
            raise InvalidRequest(str(error), param=PARAM) from None
        except InvoiceError as error:
            raise InvalidRequest(f"The address gave an invoice that cannot be paid. {error}", param=PARAM) from None
        if found.description_hash != offer.description_hash:
            raise InvalidRequest("The address gave an invoice for something else.", param=PARAM)
        return found.invoice

    def least_fee_cap(self, amount: int) -> int:
        return self._wallet.least_fee_cap(amount)

    async def pay(self, payment: Payment) -> PaymentState:
        return await self._wallet.pay(payment)

    async def lookup(self, ref: str) -> PaymentState:
        return await self._wallet.payment(ref)

    async def sent(self, since: float) -> Sequence[Outgoing]:
        return await self._wallet.payments(since)
