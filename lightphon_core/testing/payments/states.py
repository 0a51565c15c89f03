"""Checks of payment providers: deposits as they are opened and asked about."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable

from lightphon_core.errors import InvalidRequest, ProviderUnavailable
from lightphon_core.money import MAX_MSAT
from lightphon_core.ports import PaymentProvider
from lightphon_core.testing.payments.steps import (
    AMOUNT,
    arrived,
    is_settled,
    like,
    new_deposit,
    settled,
    started,
    state_of,
    waits,
)
from lightphon_core.testing.promises import answer, until
from lightphon_core.testing.sides import Can, Payer
from lightphon_core.types import DepositState, Gone, Opened, Origin, Waiting

_CURRENCY = re.compile("[A-Z]{3}")
_PATH = re.compile("/api/[a-z0-9/-]+")


def is_a_word(name: str, again: str) -> None:
    """It is, and the same for each provider over the wallet."""
    assert isinstance(name, str), "a provider's name is a string"
    assert name.isascii(), f"a provider's name is one plain word, not {name!r}"
    assert name.isidentifier(), f"a provider's name is one plain word, not {name!r}"
    assert again == name, "a provider's name never changes"


async def check_name(payer: Payer) -> None:
    """A name that can stand in a URL and in the ledger, the same for good; and what kind of money it is."""
    provider = payer.provider()
    is_a_word(provider.name, payer.provider().name)
    assert provider.origin in (Origin.CARD, Origin.LIGHTNING), "what is paid in comes by card or by Lightning"
    assert isinstance(provider.play_money, bool), "money is play money, or is not"
    assert isinstance(provider.pushes, bool), "a provider pushes, or does not"
    assert provider.currency is None or _CURRENCY.fullmatch(provider.currency), "a currency is three capital letters"
    assert provider.test_pay_path is None or provider.play_money, "nothing but play money is paid with a click"
    assert provider.test_pay_path is None or _PATH.fullmatch(provider.test_pay_path), (
        f"test_pay_path is a path below /api/, not {provider.test_pay_path!r}"
    )


async def check_open(payer: Payer) -> None:
    """An open deposit has what the payer needs, for the time that was asked for, under a ref that no other has."""
    async with started(payer) as provider:
        begun = time.time()
        opened = [await provider.open(new_deposit(provider)) for _ in range(3)]
        for each in opened:
            assert isinstance(each, Opened), f"open() returns an Opened, not {each!r}"
            assert each.ref.isascii(), "a ref is plain text"
            assert each.ref.isprintable(), "a ref is plain text"
            assert 0 < len(each.ref) <= 255, "a ref has a bounded length"
            assert begun < each.expires_at < begun + 366 * 86_400, "expires_at is in seconds since 1970, and to come"
            assert each.pay, "whoever pays is told how"
            assert all(each.pay.values()), "what the payer needs is text, and not empty"
        assert len({each.ref for each in opened}) == len(opened), "each deposit has a ref of its own"
        assert len({json.dumps(dict(each.pay)) for each in opened}) == len(opened), "each is paid by itself"


async def check_waiting(payer: Payer) -> None:
    """Until it is paid a deposit waits, whatever others are paid; after a restart too."""
    async with started(payer) as provider:
        opened, other = await provider.open(new_deposit(provider)), await provider.open(new_deposit(provider))
        await settled(provider, other.ref, await payer.pay(other))
        await waits(provider, opened.ref)
    async with started(payer) as provider:
        await waits(provider, opened.ref)
        await settled(provider, opened.ref, await payer.pay(opened))


async def check_settled(payer: Payer) -> None:
    """What was paid is settled with what came, whoever asks and how often; after a restart too."""
    async with started(payer) as provider:
        paid = [await provider.open(new_deposit(provider, amount)) for amount in (payer.least, AMOUNT, payer.most)]
        received = [await payer.pay(each) for each in paid]
        for each, amount in zip(paid, received, strict=True):
            await settled(provider, each.ref, amount)
            await settled(provider, each.ref, amount)
    async with started(payer) as provider:
        for each, amount in zip(paid, received, strict=True):
            state = await state_of(provider, each.ref)
            assert state == arrived(provider, each.ref, amount), (
                f"after a restart, what was settled still is, and not {state!r}"
            )


async def check_amounts(payer: Payer) -> None:
    """More or less than was asked for is settled as what came. An amount that is too large is refused, at most."""
    async with started(payer) as provider:
        refused = await answer(
            provider.open(new_deposit(provider, MAX_MSAT)),
            "open() of a huge amount",
            InvalidRequest,
            ProviderUnavailable,
        )
        assert isinstance(refused, Opened | InvalidRequest | ProviderUnavailable), f"open() returns no {refused!r}"
        if Can.AMOUNT in payer.can:
            for other in (AMOUNT + 5_000, AMOUNT - 5_000):
                opened = await provider.open(new_deposit(provider))
                await settled(provider, opened.ref, await payer.pay(opened, other))


async def check_unknown(payer: Payer) -> None:
    """What it has not opened is `Gone`."""
    async with started(payer) as provider:
        opened = await provider.open(new_deposit(provider))
        state = await answer(provider.lookup(like(opened.ref)), "lookup() of what is not known")
        assert state == Gone(), f"a ref that is not known is Gone, not {state!r}"


async def check_expiry(payer: Payer) -> None:
    """What has expired is never settled, unless it is paid after all: then it is."""
    if Can.EXPIRE not in payer.can:
        return
    async with started(payer) as provider:
        opened = await provider.open(new_deposit(provider))
        await payer.expire(opened)
        state = await state_of(provider, opened.ref)
        assert not is_settled(state), f"what has expired was not paid, and is not {state!r}"
        if Can.PAY_LATE in payer.can:
            await settled(provider, opened.ref, await payer.pay(opened))


async def check_cut(payer: Payer) -> None:
    """A wallet that does not answer is `ProviderUnavailable`, and no more than that: nothing is taken back."""
    if Can.CUT not in payer.can:
        return
    async with started(payer) as provider:
        opened, paid = await provider.open(new_deposit(provider)), await provider.open(new_deposit(provider))
        received = await payer.pay(paid)
        await settled(provider, paid.ref, received)
        await payer.cut()
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: provider.open(new_deposit(provider)),
            lambda: provider.lookup(opened.ref),
        ]
        for call in calls:
            error = await answer(call(), "a wallet that cannot be reached is ProviderUnavailable", ProviderUnavailable)
            assert isinstance(error, ProviderUnavailable), (
                f"a wallet that cannot be reached is ProviderUnavailable, not {error!r}"
            )
        await payer.mend()
        await _heard(provider, opened.ref, Waiting())
        await _heard(provider, paid.ref, arrived(provider, paid.ref, received))


async def _heard(provider: PaymentProvider, ref: str, expected: DepositState) -> None:
    """Once the wallet is there again, it is asked again."""

    async def look() -> DepositState | Exception:
        return await answer(provider.lookup(ref), "lookup()", ProviderUnavailable)

    promise = "a wallet that is there again is heard again"
    found = await until(look, lambda state: not isinstance(state, ProviderUnavailable), promise)
    assert found == expected, f"a deposit stands as before when the wallet is there again: {expected}, not {found}"


async def check_lost_reply(payer: Payer) -> None:
    """Where the reply to open() is lost, that is `ProviderUnavailable`, or a deposit that can be paid."""
    if Can.LOSE not in payer.can:
        return
    async with started(payer) as provider:
        await payer.lose_reply()
        opened = await answer(provider.open(new_deposit(provider)), "open() without a reply", ProviderUnavailable)
        if not isinstance(opened, Opened):
            opened = await provider.open(new_deposit(provider))
        received = await answer(payer.pay(opened), "what open() returned can be paid")
        assert isinstance(received, int)
        await settled(provider, opened.ref, received)
