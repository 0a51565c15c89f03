"""/api/deposits: wallets are filled. What a deposit's owner sees of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from lightphon_core.errors import InvalidRequest
from lightphon_core.money import MAX_MSAT, MSAT_PER_SAT, MoneyError, euros, parse_euros
from lightphon_core.payments.deposits.deposit import Deposit
from lightphon_core.payments.deposits.service import Deposits
from lightphon_core.ports import PaymentProvider
from lightphon_core.rates.quotes import CURRENCY
from lightphon_core.settings import DepositSettings, Settings
from lightphon_core.types import Fiat, Principal, Scope
from lightphon_core.web.api.body import Body
from lightphon_core.web.api.dependencies import Given
from lightphon_core.web.api.guards import Requires
from lightphon_core.web.openapi import GUARDED, SESSION_OR_KEY, TAKES_BODY, refusals

MOST_DEPOSITS = 100

DepositId = Annotated[str, PathParameter(pattern="^dep_[0-9a-f]{24}$", description="A deposit's id.")]
GUARDS = [Requires(Scope.INFERENCE, Scope.ACCOUNT)]


class NewDeposit(Body):
    """Whole sats, or euros with at most two decimal places where the provider's `currency` is "EUR": one of the two.
    `provider` may be left out where the server has only one."""

    amount_sats: Annotated[int, msgspec.Meta(ge=1, le=MAX_MSAT // MSAT_PER_SAT)] | None = None
    amount_eur: Annotated[Decimal, msgspec.Meta(extra_json_schema={"pattern": "^[0-9]+([.][0-9]{1,2})?$"})] | None = (
        None
    )
    provider: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


class DepositShown(msgspec.Struct, frozen=True):
    """`status`: "creating", "open", "expired", "failed", "settled" or "reversed". Pay `invoice` (Lightning) or open
    `checkout_url` (card) until `expires_at`. `received_msat` is what came, and was credited at `settled_at`. Where
    `currency` is not null, `price_cents` of it are to be paid for `amount_msat`, at `rate` for a bitcoin, which was
    locked when the deposit was opened. `clawed_back_msat` is what refunds and disputes have taken back: all of it where
    `status` is "reversed". Where `play_money` is true, nothing of this is worth anything."""

    id: str
    status: str
    provider: str
    amount_sats: int
    amount_msat: int
    received_msat: int | None
    clawed_back_msat: int
    price_cents: int | None
    currency: str | None
    rate: str | None
    invoice: str | None
    checkout_url: str | None
    created_at: int
    expires_at: int
    settled_at: int | None
    play_money: bool


class DepositList(msgspec.Struct, frozen=True):
    """The latest first; `next` is the `before` of the next page, null on the last one."""

    data: list[DepositShown]
    next: str | None


class ProviderShown(msgspec.Struct, frozen=True):
    """A way to pay: `name` is the `provider` of a new deposit, which takes from `least_sats` to `most_sats`; or, where
    `currency` is "EUR", from `least_eur` to `most_eur`, decimal text. The other two are null. Where `test_pay_path` is
    not null, POST it with the `invoice` of a deposit to pay with play money."""

    name: str
    currency: str | None
    least_sats: int | None
    most_sats: int | None
    least_eur: str | None
    most_eur: str | None
    play_money: bool
    test_pay_path: str | None


class ProviderList(msgspec.Struct, frozen=True):
    """Empty where this server takes no deposits."""

    data: list[ProviderShown]


@get(
    "/deposits/providers",
    name="deposit_providers",
    tags=["deposits"],
    guards=GUARDS,
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED),
)
async def list_deposit_providers(deposits: Given[Deposits], settings: Given[Settings]) -> ProviderList:
    """The ways to pay in."""
    return ProviderList(ways(deposits, settings.deposits))


@post(
    "/deposits",
    name="open_deposit",
    tags=["deposits"],
    guards=GUARDS,
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED, *TAKES_BODY),
)
async def open_deposit(
    data: JSONBody[NewDeposit], principal: Given[Principal], deposits: Given[Deposits]
) -> DepositShown:
    """Ask for something to pay, such as a Lightning invoice or a page to pay by card. What is paid is credited by
    itself. 503 with the code "rate_unavailable": what a bitcoin costs in euros is not known at the moment."""
    opened = await deposits.open(principal.account_id, data.provider, _asked(data))
    return shown(opened, deposits)


@get(
    "/deposits",
    name="deposits",
    tags=["deposits"],
    guards=GUARDS,
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED, 404),
)
async def list_deposits(
    principal: Given[Principal],
    deposits: Given[Deposits],
    limit: Annotated[int, QueryParameter(ge=1, le=MOST_DEPOSITS, description="Deposits on a page.")] = 20,
    before: Annotated[
        str | None, QueryParameter(pattern="^dep_[0-9a-f]{24}$", description="Only deposits before this one.")
    ] = None,
) -> DepositList:
    """The account's deposits."""
    found = await deposits.list(principal.account_id, limit=limit + 1, before=before)
    page, more = found[:limit], len(found) > limit
    return DepositList([shown(each, deposits) for each in page], page[-1].id if more else None)


@get(
    "/deposits/{deposit_id:str}",
    name="deposit",
    tags=["deposits"],
    guards=GUARDS,
    security=SESSION_OR_KEY,
    responses=refusals(*GUARDED, 404),
)
async def get_deposit(deposit_id: DepositId, principal: Given[Principal], deposits: Given[Deposits]) -> DepositShown:
    """One deposit, as it stands."""
    return shown(await deposits.get(principal.account_id, deposit_id), deposits)


def _asked(data: NewDeposit) -> int | Fiat:
    """In msat, or a price."""
    if data.amount_sats is not None and data.amount_eur is None:
        return data.amount_sats * MSAT_PER_SAT
    if data.amount_eur is None or data.amount_sats is not None:
        raise InvalidRequest(
            "Send one of amount_sats and amount_eur: the latter where the provider is paid in EUR.",
            param="amount_sats" if data.amount_eur is None else "amount_eur",
        )
    try:
        # As it was written: neither 1e2, nor NaN, nor a third decimal place.
        return Fiat(CURRENCY, parse_euros(str(data.amount_eur)))
    except MoneyError as error:
        raise InvalidRequest(str(error), param="amount_eur") from None


def ways(deposits: Deposits, settings: DepositSettings) -> list[ProviderShown]:
    """The ways to pay in, by name."""
    return [_way(each, settings) for _, each in sorted(deposits.providers.items())]


def _way(provider: PaymentProvider, settings: DepositSettings) -> ProviderShown:
    in_sats = provider.currency is None
    return ProviderShown(
        name=provider.name,
        currency=provider.currency,
        least_sats=-(-settings.least // MSAT_PER_SAT) if in_sats else None,
        most_sats=settings.most // MSAT_PER_SAT if in_sats else None,
        least_eur=None if in_sats else euros(settings.least_eur),
        most_eur=None if in_sats else euros(settings.most_eur),
        play_money=provider.play_money,
        test_pay_path=provider.test_pay_path,
    )


def shown(deposit: Deposit, deposits: Deposits) -> DepositShown:
    """A deposit as JSON has it."""
    provider = deposits.providers.get(deposit.provider)
    return DepositShown(
        id=deposit.id,
        status=deposit.status.value,
        provider=deposit.provider,
        amount_sats=deposit.amount // MSAT_PER_SAT,
        amount_msat=deposit.amount,
        received_msat=deposit.received,
        clawed_back_msat=deposit.clawed_back,
        price_cents=None if deposit.price is None else deposit.price.cents,
        currency=None if deposit.price is None else deposit.price.currency,
        rate=None if deposit.rate is None else str(deposit.rate),
        invoice=deposit.pay.get("invoice"),
        checkout_url=deposit.pay.get("checkout_url"),
        created_at=deposit.created_at // 1_000_000,
        expires_at=deposit.expires_at // 1_000_000,
        settled_at=None if deposit.settled_at is None else deposit.settled_at // 1_000_000,
        play_money=provider is not None and provider.play_money,
    )


ROUTES = (list_deposit_providers, open_deposit, list_deposits, get_deposit)
