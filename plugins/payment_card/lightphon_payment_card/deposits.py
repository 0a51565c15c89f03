"""Cards as they fill wallets: the core's `PaymentProvider` over Stripe Checkout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lightphon_core import (
    Change,
    DepositState,
    Gone,
    Hint,
    Host,
    NewDeposit,
    Opened,
    Origin,
    PaymentProvider,
    PriceSettled,
    ProviderUnavailable,
    Reversal,
)
from lightphon_payment_card import events, reversals, sessions
from lightphon_payment_card.api import StripeApi
from lightphon_payment_card.events import Kind
from lightphon_payment_card.sessions import Row
from lightphon_payment_card.settings import CardSettings, Mode

NAME = "card"


class CardDeposits(PaymentProvider):
    """Sends payers to Stripe's page. What its webhooks say is read again before it is told."""

    name = NAME
    currency = sessions.CURRENCY
    origin = Origin.CARD
    asks_every_s = 5.0

    def __init__(self, host: Host[CardSettings]) -> None:
        settings = host.settings
        assert settings.secret_key is not None, "the plugin registers nothing without a key"
        assert settings.webhook_secret is not None, "the settings want it where there is a key"
        self._clock = host.clock
        self._log = host.log
        self._webhook_secret = settings.webhook_secret
        self._tolerance_s = settings.tolerance_s
        self._product = settings.product_name
        self._return_url = settings.return_url or host.public_url
        self._live = settings.mode is Mode.LIVE
        self._api = StripeApi(settings.secret_key, host.log, settings.api_base)
        self.play_money = not self._live

    async def open(self, deposit: NewDeposit) -> Opened:
        return_url = deposit.return_url or self._return_url
        sessions.price_of(deposit)
        if return_url is None:
            self._log.error("no deposit by card: set public_url of [server], or return_url of [plugins.card]")
            raise ProviderUnavailable(
                "This server does not say where Stripe's page should lead back to; its operator has to set public_url."
            )
        params = sessions.asked_for(deposit, product=self._product, return_url=return_url, now=self._clock.now())
        session = await self._api.create_session(params, key=deposit.id)
        return sessions.opened(session, deposit, live=self._live)

    async def lookup(self, ref: str) -> DepositState:
        session = await self._api.session(ref)
        return Gone() if session is None else sessions.state_of(session, ref, live=self._live)

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[Change | Hint]:
        said = events.subject(
            body,
            headers.get(events.SIGNATURE, ""),
            self._webhook_secret.reveal(),
            tolerance_s=self._tolerance_s,
            live=self._live,
        )
        match said:
            case None:
                return []
            case events.Subject(Kind.SESSION, name):
                return await self._of_session(name)
            case events.Subject(Kind.REFUND, name):
                return await self._of_refunds([await self._api.refund(name)])
            case events.Subject(Kind.CHARGE, name):
                return await self._of_refunds(await self._api.refunds_of(name))
            case events.Subject(Kind.DISPUTE, name):
                return await self._of_dispute(name)
        raise AssertionError("every kind is above")

    async def stop(self) -> None:
        await self._api.close()

    async def _of_session(self, name: str) -> Sequence[Change]:
        session = await self._api.session(name)
        if session is None or sessions.deposit_of(session) is None:
            return []  # of another system that shares the account
        state = sessions.state_of(session, name, live=self._live)
        return [state] if isinstance(state, PriceSettled) else []

    async def _of_refunds(self, refunds: Sequence[Row | None]) -> Sequence[Reversal]:
        return [
            reversals.of_refund(refund, ref)
            for refund in refunds
            if refund is not None and (ref := await self._ref_of(refund)) is not None
        ]

    async def _of_dispute(self, name: str) -> Sequence[Reversal]:
        dispute = await self._api.dispute(name)
        if dispute is None or (ref := await self._ref_of(dispute)) is None:
            return []
        if dispute.get("livemode") is not self._live:
            raise sessions.unexpected()
        reversal = reversals.of_dispute(dispute, ref)
        return [] if reversal is None else [reversal]

    async def _ref_of(self, row: Row) -> str | None:
        """The session whose money a refund or a dispute is about; None where it is none of ours."""
        payment = row.get("payment_intent")
        if payment is None and isinstance(charge := row.get("charge"), str):
            payment = (await self._api.charge(charge) or {}).get("payment_intent")
        if not isinstance(payment, str):
            return None
        session = await self._api.session_of(payment)
        if session is None or sessions.deposit_of(session) is None:
            return None
        ref = session.get("id")
        if not isinstance(ref, str) or session.get("payment_intent") != payment:
            raise sessions.unexpected()
        sessions.state_of(session, ref, live=self._live)
        return ref
