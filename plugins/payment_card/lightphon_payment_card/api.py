"""Stripe's API, as far as it is needed: objects in, objects out, and its errors as the core's."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from stripe import InvalidRequestError, StripeClient, StripeError, StripeObject

from lightphon_core import InvalidRequest, ProviderUnavailable, Secret
from lightphon_payment_card.connection import Connection
from lightphon_payment_card.sessions import Row

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams
    from structlog.stdlib import BoundLogger

API_BASE = "https://api.stripe.com"
PAGE = 100
_MISSING = "resource_missing"
_BAD_AMOUNTS = frozenset({"amount_too_large", "amount_too_small"})

T = TypeVar("T")


class StripeApi:
    """One account's. Nothing is tried again here: whoever asks does that, and knows what for.

    Every method raises `ProviderUnavailable` where Stripe does not answer, or refuses for what is no fault of the
    payer's; the log then says why.
    """

    def __init__(self, secret_key: Secret, log: BoundLogger, base_url: str | None = None) -> None:
        self._log = log
        base = (base_url or API_BASE).rstrip("/")
        self._connection = Connection(base)
        self._stripe = StripeClient(
            secret_key.reveal(), base_addresses={"api": base}, max_network_retries=0, http_client=self._connection
        )

    async def close(self) -> None:
        """Let go of its connections."""
        await self._connection.close_async()

    async def create_session(self, params: Mapping[str, Any], *, key: str) -> Row:
        """A new session; the same one for the same idempotency `key`. Raises `InvalidRequest` for an amount that Stripe
        does not take."""
        asked = cast("SessionCreateParams", dict(params))
        try:
            return _row(await self._stripe.v1.checkout.sessions.create_async(asked, {"idempotency_key": key}))
        except StripeError as error:
            if error.code in _BAD_AMOUNTS:
                raise InvalidRequest("Stripe takes no such amount.", param="amount_eur") from None
            raise self._failed(error) from None

    async def session(self, name: str) -> Row | None:
        """The session of this id, None where there is none."""
        return await self._found(self._stripe.v1.checkout.sessions.retrieve_async(name))

    async def session_of(self, payment_intent: str) -> Row | None:
        """The session that a payment was made with; None where it was made otherwise."""
        return next(
            iter(
                await self._listed(
                    self._stripe.v1.checkout.sessions.list_async({"payment_intent": payment_intent, "limit": 1})
                )
            ),
            None,
        )

    async def charge(self, name: str) -> Row | None:
        """The charge of this id, None where there is none."""
        return await self._found(self._stripe.v1.charges.retrieve_async(name))

    async def refund(self, name: str) -> Row | None:
        """The refund of this id, None where there is none."""
        return await self._found(self._stripe.v1.refunds.retrieve_async(name))

    async def refunds_of(self, charge: str) -> Sequence[Row]:
        """The latest refunds of a charge, at most a page of them: each has had an event of its own as well."""
        return await self._listed(self._stripe.v1.refunds.list_async({"charge": charge, "limit": PAGE}))

    async def dispute(self, name: str) -> Row | None:
        """The dispute of this id, None where there is none."""
        return await self._found(self._stripe.v1.disputes.retrieve_async(name))

    async def _found(self, work: Awaitable[StripeObject]) -> Row | None:
        try:
            return _row(await work)
        except InvalidRequestError as error:
            if error.http_status == 404 and error.code == _MISSING:
                return None
            raise self._failed(error) from None
        except StripeError as error:
            raise self._failed(error) from None

    async def _listed(self, work: Awaitable[StripeObject]) -> Sequence[Row]:
        try:
            page = _row(await work)
        except StripeError as error:
            raise self._failed(error) from None
        data = page.get("data")
        if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
            raise ProviderUnavailable("Stripe did not answer as its API says.")
        return data

    def _failed(self, error: StripeError) -> ProviderUnavailable:
        # Its text may quote what was sent, so only what kind it is is told.
        self._log.warning(
            "Stripe refused, or did not answer",
            kind=type(error).__name__,
            status=error.http_status,
            code=error.code,
            request=error.request_id,
        )
        return ProviderUnavailable("Stripe does not answer at the moment.")


def _row(found: StripeObject) -> Row:
    return found.to_dict()
