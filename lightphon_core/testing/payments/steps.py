"""What the checks of payment providers are made of: a deposit is opened, asked about, and stands as it should."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lightphon_core.ports import PaymentProvider
from lightphon_core.testing.promises import until, within
from lightphon_core.testing.sides import MSAT_PER_CENT, Payer
from lightphon_core.types import DepositState, Fiat, NewDeposit, PriceSettled, Settled, Waiting

AMOUNT = 21_000
RETURN_URL = "https://ai.example.com/back"
EXPIRY_S = 3_600

_numbers = itertools.count(1)


def new_deposit(provider: PaymentProvider, amount: int = AMOUNT) -> NewDeposit:
    """As the core asks a provider for one."""
    number = next(_numbers)
    price = price_of(provider, amount)
    return NewDeposit(
        f"dep_contract{number}n{time.time_ns()}",
        amount,
        f"Deposit {number}",
        EXPIRY_S,
        price,
        None if price is None else RETURN_URL,
    )


def price_of(provider: PaymentProvider, amount: int) -> Fiat | None:
    """What is to be paid for so many msat, where the provider has a currency."""
    return None if provider.currency is None else Fiat(provider.currency, amount // MSAT_PER_CENT)


def arrived(provider: PaymentProvider, ref: str, amount: int) -> Settled | PriceSettled:
    """What a provider is to say of a deposit that was paid so."""
    price = price_of(provider, amount)
    return Settled(ref, amount) if price is None else PriceSettled(ref, price)


def like(ref: str) -> str:
    """A ref of the same shape that no provider gave."""
    return ref[:-8] + "".join("1" if each == "0" else "0" for each in ref[-8:])


@asynccontextmanager
async def started(payer: Payer) -> AsyncGenerator[PaymentProvider, None]:
    """A provider over the payer's wallet, which is stopped in the end."""
    provider = payer.provider()
    await provider.start()
    try:
        yield provider
    finally:
        async with within("a provider that is stopped stops"):
            await provider.stop()


async def state_of(provider: PaymentProvider, ref: str) -> DepositState:
    """How a deposit stands, by a provider that is there."""
    state = await provider.lookup(ref)
    assert isinstance(state, DepositState), f"lookup() returns a DepositState, not {state!r}"
    return state


async def settled(provider: PaymentProvider, ref: str, amount: int) -> None:
    """A deposit that was paid is settled, with what came."""
    promise = "a deposit that was paid is settled"
    found = await until(lambda: state_of(provider, ref), is_settled, promise)
    expected = arrived(provider, ref, amount)
    assert found == expected, f"what came is {expected}, in millisatoshi or as a price, not {found}"


def is_settled(said: object) -> bool:
    """Whether it says that money has come."""
    return isinstance(said, Settled | PriceSettled)


async def waits(provider: PaymentProvider, ref: str) -> None:
    """It can still be paid."""
    state = await state_of(provider, ref)
    assert state == Waiting(), f"a deposit that is open and not paid is Waiting, not {state!r}"
