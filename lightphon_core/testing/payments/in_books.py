"""What must come of a provider in the books, through the core's own deposits: whatever it says, however often and in
whichever order, what was paid is credited, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lightphon_core.errors import ProviderUnavailable
from lightphon_core.payments.deposits.deposit import Status
from lightphon_core.testing.books import Books
from lightphon_core.testing.payments.gateway import running
from lightphon_core.testing.payments.news import GARBAGE
from lightphon_core.testing.payments.steps import AMOUNT, EXPIRY_S
from lightphon_core.testing.sides import Can, Payer
from lightphon_core.types import Opened


async def books_once(payer: Payer, books: Books) -> None:
    """Told again and again, by the wallet, by its webhook and when asked: credited once."""
    async with running(books, payer) as gateway:
        deposit, opened = await gateway.open(AMOUNT)
        received = await payer.pay(opened)
        await gateway.is_settled(deposit, received)
        if Can.REPEAT in payer.can:
            await payer.repeat(opened)
        if Can.WEBHOOK in payer.can:
            for _ in range(2):
                await gateway.called(*payer.webhook(opened))
        gateway.watch.look_soon(deposit)
        await gateway.watch.look()
        other, opened = await gateway.open(AMOUNT)
        also = await payer.pay(opened)
        await gateway.is_settled(other, also)
    books.hold(received + also)


async def books_order(payer: Payer, books: Books) -> None:
    """Paid in another order than opened, and all at once: each is credited, from the least to the most."""
    async with running(books, payer) as gateway:
        opened = [await gateway.open(amount) for amount in (payer.least, AMOUNT, AMOUNT, payer.most)]
        received = [await payer.pay(each) for _, each in reversed(opened)]
        settled = zip(reversed(opened), received, strict=True)
        await asyncio.gather(*(gateway.is_settled(deposit, amount) for (deposit, _), amount in settled))
    books.hold(sum(received))


async def books_away(payer: Payer, books: Books) -> None:
    """Paid while the gateway is down: credited when it is back; and heard of from then on."""
    async with running(books, payer) as gateway:
        first, opened_first = await gateway.open(AMOUNT)
        paid = await payer.pay(opened_first)
        await gateway.is_settled(first, paid)
        deposits = [await gateway.open(AMOUNT + 1_000 * number) for number in range(3)]
    received = [await payer.pay(opened) for _, opened in reversed(deposits[1:])]
    async with running(books, payer) as gateway:
        for (deposit, _), amount in zip(reversed(deposits[1:]), received, strict=True):
            await gateway.is_settled(deposit, amount)
        received.append(await payer.pay(deposits[0][1]))
        await gateway.is_settled(deposits[0][0], received[-1])
    books.hold(paid + sum(received))


async def books_replicas(payer: Payer, books: Books) -> None:
    """Two gateways hear the same: credited once."""
    async with running(books, payer) as gateway, running(books, payer) as other:
        made = [await each.open(AMOUNT) for each in (gateway, other, gateway)]
        received = [await payer.pay(opened) for _, opened in made]
        for (deposit, _), amount in zip(made, received, strict=True):
            await asyncio.gather(gateway.is_settled(deposit, amount), other.is_settled(deposit, amount))
            gateway.watch.look_soon(deposit)
            other.watch.look_soon(deposit)
            await asyncio.gather(gateway.watch.look(), other.watch.look())
    books.hold(sum(received))


async def books_amount(payer: Payer, books: Books) -> None:
    """What comes is credited, be it more or less than was asked for; but nothing where another price was paid than that
    for which it was locked."""
    if Can.AMOUNT not in payer.can:
        return
    async with running(books, payer) as gateway:
        total = 0
        for other in (AMOUNT - 5_000, AMOUNT + 5_000):
            deposit, opened = await gateway.open(AMOUNT)
            received = await payer.pay(opened, other)
            if gateway.provider.currency is not None:
                await gateway.is_left_alone(deposit)
                continue
            await gateway.is_settled(deposit, received)
            total += received
    books.hold(total)


async def books_reversed(payer: Payer, books: Books) -> None:
    """What is taken back leaves the wallet once, also where that is heard before the payment; what is given back comes
    back, and stays."""
    if Can.REVERSE not in payer.can:
        return
    part = AMOUNT // 3
    async with running(books, payer) as gateway:
        deposit, opened = await gateway.open(AMOUNT)
        early, opened_early = await gateway.open(AMOUNT)
        received = await payer.pay(opened)
        await gateway.is_settled(deposit, received)
        also = await payer.pay(opened_early)
        for each in (opened, opened_early):
            call = await payer.reverse(each, part, returned=False)
            await gateway.called(*call)
            await gateway.called(*call)
        await gateway.is_settled(early, also)
        call = await payer.reverse(opened, part, returned=True)
        for _ in range(2):
            await gateway.called(*call)
        found = [(await gateway.status(each)).clawed_back for each in (deposit, early)]
        assert found == [0, part], f"taken back are [0, {part}] msat, and not {found}"
    books.hold(received + also - part)


async def books_late(payer: Payer, books: Books) -> None:
    """What expires is not credited; what is paid after that is, once."""
    if Can.EXPIRE not in payer.can:
        return
    async with running(books, payer) as gateway:
        deposit, opened = await gateway.open(AMOUNT)
        await payer.expire(opened)
        gateway.clock.ahead = EXPIRY_S + 60
        await gateway.becomes(deposit, Status.EXPIRED, "a deposit that was not paid in time expires")
        received = 0
        if Can.PAY_LATE in payer.can:
            received = await payer.pay(opened)
            await gateway.is_settled(deposit, received)
            gateway.watch.look_soon(deposit)
            await gateway.watch.look()
    books.hold(received)


async def books_lost_reply(payer: Payer, books: Books) -> None:
    """Where the reply to open() is lost, nobody is shown a deposit, and nobody is credited; the next one is as ever."""
    if Can.LOSE not in payer.can:
        return
    async with running(books, payer) as gateway:
        await payer.lose_reply()
        made = await gateway.try_to_open(AMOUNT)
        deposit, opened = await gateway.open(AMOUNT) if isinstance(made, ProviderUnavailable) else made
        received = await payer.pay(opened)
        await gateway.is_settled(deposit, received)
    books.hold(received)


async def books_cut(payer: Payer, books: Books) -> None:
    """A wallet that goes and comes back: nothing is lost, and nothing is credited twice."""
    if Can.CUT not in payer.can:
        return
    async with running(books, payer) as gateway:
        deposit, opened = await gateway.open(AMOUNT)
        unpaid, _ = await gateway.open(AMOUNT)
        received = await payer.pay(opened)
        await payer.cut()
        await gateway.is_left_alone(unpaid)
        error = await gateway.try_to_open(AMOUNT)
        assert isinstance(error, ProviderUnavailable), "a wallet that cannot be reached opens nothing"
        await payer.mend()
        await gateway.is_settled(deposit, received)
        assert (await gateway.status(unpaid)).status is Status.OPEN, "a wallet that was away takes no deposit back"
        other, opened = await gateway.open(AMOUNT)
        also = await payer.pay(opened)
        await gateway.is_settled(other, also)
    books.hold(received + also)


async def books_lies(payer: Payer, books: Books) -> None:
    """Whoever lies to the webhook, and whoever else pays the wallet: nobody is credited."""
    async with running(books, payer) as gateway:
        deposit, opened = await gateway.open(AMOUNT)
        calls: list[tuple[dict[str, str], bytes]] = [({}, body) for body in GARBAGE]
        if Can.WEBHOOK in payer.can:
            headers, body = payer.webhook(opened)
            foreign = Opened(f"{'0' * 8}{opened.ref[8:]}", opened.expires_at, opened.pay)
            calls += [({}, body), ({}, payer.webhook(foreign)[1]), ({}, body[:-1]), (dict(headers), body + b" ")]
        for call in calls:
            await gateway.called(*call)
        if Can.STRANGER in payer.can:
            await payer.pay_stranger()
        await gateway.is_left_alone(deposit)
        other, opened = await gateway.open(AMOUNT)
        received = await payer.pay(opened)
        await gateway.is_settled(other, received)
        await gateway.is_left_alone(deposit)
    books.hold(received)


InBooks = Callable[[Payer, Books], Awaitable[None]]
CHECKS: list[InBooks] = [
    books_once,
    books_order,
    books_away,
    books_replicas,
    books_amount,
    books_reversed,
    books_late,
    books_lost_reply,
    books_cut,
    books_lies,
]
