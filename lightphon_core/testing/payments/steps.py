"""What the checks of payment providers are made of: a deposit is opened, asked about, and stands as it should."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lightphon_core.ports import PaymentProvider
from lightphon_core.testing.promises import until, within
from lightphon_core.testing.sides import Payer
from lightphon_core.types import DepositState, Gone, NewDeposit, Settled, Waiting

AMOUNT = 21_000
EXPIRY_S = 3_600

_numbers = itertools.count(1)


def new_deposit(amount: int = AMOUNT, *, expires_in_s: int = EXPIRY_S) -> NewDeposit:
    """As the core asks for one."""
    number = next(_numbers)
    return NewDeposit(f"dep_contract{number}n{time.time_ns()}", amount, f"Deposit {number}", expires_in_s)


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
    assert isinstance(state, Settled | Waiting | Gone), f"lookup() returns a DepositState, not {state!r}"
    return state


async def settled(provider: PaymentProvider, ref: str, amount: int) -> None:
    """A deposit that was paid is settled, with what came."""
    promise = "a deposit that was paid is settled"
    found = await until(lambda: state_of(provider, ref), lambda state: isinstance(state, Settled), promise)
    assert found == Settled(ref, amount), f"what came is {Settled(ref, amount)}, in millisatoshi, not {found}"


async def waits(provider: PaymentProvider, ref: str) -> None:
    """It can still be paid."""
    state = await state_of(provider, ref)
    assert state == Waiting(), f"a deposit that is open and not paid is Waiting, not {state!r}"
