"""Checks of payment providers: what they tell by themselves, what their webhook makes them tell, and what they must not
tell anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from lightphon_core.errors import InvalidRequest, NotFound, ProviderUnavailable
from lightphon_core.ports import PaymentProvider
from lightphon_core.testing.payments.steps import AMOUNT, arrived, is_settled, new_deposit, settled, started, waits
from lightphon_core.testing.promises import answer, nothing_blocks, overhearing, within
from lightphon_core.testing.sides import Can, Payer
from lightphon_core.types import Change, Event, Hint

AGAIN_S = 0.25
"""After how long another deposit is paid while nobody is sure that events are listened to yet."""
GARBAGE = [
    b"",
    b"\x00\xff",
    b"null",
    b"{}",
    b"[]",
    b'"{}"',
    b'"\\"{}\\""',
    b'{"ref": 7}',
    b'{"payment_hash": null}',
    b'{"paymentHash": ["x"]}',
    b'{"amount": NaN}',
    b"[" * 100_000,
    b"ref=x&amount=1",
]
"""What strangers send to a webhook."""
ODD = ["", "é", "0" * 100_000]
"""What they send as its signature."""


async def check_events(payer: Payer) -> None:
    """What pushes tells of each payment, under its ref; whoever was away hears of it from the cursor on, in whichever
    order deposits were opened and paid."""
    provider = payer.provider()
    if not provider.pushes:
        return
    async with started(payer) as provider:
        first, second, third = [
            await provider.open(new_deposit(provider, AMOUNT + 1_000 * number)) for number in range(3)
        ]
        async with aclosing(provider.events(None)) as events:
            await _listening(provider, payer, events)
            cursor = await _hears(provider, events, second.ref, await payer.pay(second))
        received = await payer.pay(third), await payer.pay(first)
    if cursor is None:
        return
    async with started(payer) as provider:
        async with aclosing(provider.events(cursor)) as events:
            cursor = await _hears(provider, events, third.ref, received[0])
        async with aclosing(provider.events(cursor)) as events:
            await _hears(provider, events, first.ref, received[1])


async def _listening(provider: PaymentProvider, payer: Payer, events: AsyncGenerator[Event, None]) -> None:
    """Pay one deposit after the other until one is heard of."""
    refs = set[str]()

    async def paid() -> None:
        opened = await provider.open(new_deposit(provider))
        refs.add(opened.ref)
        await payer.pay(opened)

    hearing = asyncio.ensure_future(_next(events))
    try:
        async with within("events() tells of a payment"):
            while True:
                await paid()
                done, _ = await asyncio.wait({hearing}, timeout=AGAIN_S)
                if not done:
                    continue
                if (change := hearing.result().change) is not None and change.ref in refs:
                    return
                hearing = asyncio.ensure_future(_next(events))
    finally:
        if not hearing.done():
            hearing.cancel()
            await asyncio.wait({hearing})


async def _next(events: AsyncGenerator[Event, None]) -> Event:
    try:
        event = await anext(events)
    except StopAsyncIteration:
        raise AssertionError("events() goes on without end while the wallet is there") from None
    except (ProviderUnavailable, NotImplementedError) as error:
        raise AssertionError(f"events() goes on without end while the wallet is there: {error!r}") from error
    assert isinstance(event, Event), f"events() yields Events, not {event!r}"
    assert event.cursor is None or isinstance(event.cursor, str), f"a cursor is text, not {event.cursor!r}"
    return event


async def _hears(provider: PaymentProvider, events: AsyncGenerator[Event, None], ref: str, amount: int) -> str | None:
    """The event of this payment comes, with its amount. Its cursor."""
    async with within("events() tells of every payment after the cursor"):
        while True:
            event = await _next(events)
            if event.change is not None and event.change.ref == ref:
                expected = arrived(provider, ref, amount)
                assert event.change == expected, f"what came is {expected}, not {event.change}"
                return event.cursor


async def check_events_end(payer: Payer) -> None:
    """Events end when nobody reads on, at once; and when the wallet is gone, or raise `ProviderUnavailable`."""
    provider = payer.provider()
    if not provider.pushes:
        return
    async with started(payer) as provider:
        events = provider.events(None)
        await _listening(provider, payer, events)
        async with within("events() that are closed end"):
            await events.aclose()
        reading = asyncio.ensure_future(_drain(provider.events(None)))
        await asyncio.sleep(0)
        reading.cancel()
        async with within("whoever reads events() and is cancelled ends"):
            await asyncio.wait({reading})
        assert reading.cancelled(), "events() lets the cancellation through"
        if Can.CUT in payer.can:
            async with aclosing(provider.events(None)) as events:
                await _listening(provider, payer, events)
                await payer.cut()
                await answer(_drain(events), "events() of a wallet that has gone end", ProviderUnavailable)
                await payer.mend()


async def _drain(events: AsyncGenerator[Event, None]) -> None:
    async with aclosing(events):
        async for _ in events:
            pass


async def check_webhook(payer: Payer) -> None:
    """Nobody is believed who cannot prove it, and nothing that is sent breaks anything."""
    async with started(payer) as provider:
        opened, other = await provider.open(new_deposit(provider)), await provider.open(new_deposit(provider))
        for body in GARBAGE:
            said = await _called(provider, {}, body)
            assert not any(is_settled(each) for each in said), f"{body[:20]!r} proves nothing"
        if Can.WEBHOOK not in payer.can:
            return
        received = await payer.pay(opened)
        headers, body = payer.webhook(opened)
        said = await _called(provider, headers, body)
        for each in said:
            assert each == Hint(opened.ref) or each == arrived(provider, opened.ref, received), (
                f"a webhook tells of the payment that it is about, and not {each!r}"
            )
        assert said, "a webhook of the wallet's own is understood"
        # The same without its proof, and about a deposit that was not paid.
        _, lie = payer.webhook(other)
        for forged in ({}, headers):
            said = await _called(provider, forged, lie)
            assert not any(is_settled(each) for each in said), "a webhook without a signature proves nothing"
        for odd in ODD:
            said = await _called(provider, dict.fromkeys(headers, odd), body)
            assert not any(is_settled(each) for each in said), "a wrong signature proves nothing"
        await waits(provider, other.ref)


async def _called(provider: PaymentProvider, headers: Mapping[str, str], body: bytes) -> Sequence[Change | Hint]:
    promise = f"a webhook with {body[:20]!r}"
    said = await answer(provider.webhook(headers, body), promise, NotFound, InvalidRequest)
    if isinstance(said, NotFound | InvalidRequest):
        return []
    assert not isinstance(said, Exception)
    assert all(isinstance(each, Change | Hint) for each in said), f"webhook() returns what was said, not {said!r}"
    return said


async def check_manners(payer: Payer) -> None:
    """No secret is shown, by whatever happens; and nobody else waits while one deposit does."""
    with overhearing() as ear:
        with nothing_blocks():
            provider = payer.provider()
            await provider.start()
            opened = await provider.open(new_deposit(provider))
            await waits(provider, opened.ref)
        for shown in (
            provider,
            opened,
            await answer(provider.webhook({}, b"[]"), "webhook()", NotFound, InvalidRequest),
        ):
            ear.see(shown)
        await settled(provider, opened.ref, await payer.pay(opened))
        if Can.CUT in payer.can:
            await payer.cut()
            ear.see(await answer(provider.lookup(opened.ref), "lookup()", ProviderUnavailable))
            ear.see(await answer(provider.open(new_deposit(provider)), "open()", ProviderUnavailable))
            await payer.mend()
        await provider.stop()
    for number, secret in enumerate(payer.secrets):
        assert ear.hides(secret), f"a secret is shown to nobody: not in a repr, an error or the log (secrets[{number}])"
