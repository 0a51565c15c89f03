"""The suite of payment providers passes one that keeps its promises, and each check catches one that breaks its own."""

import asyncio
import hmac
import json
import secrets
import socket
import time
from contextlib import aclosing

import pytest
import structlog
from attrs import evolve

from lightphon_core import Gone, Hint, Origin, PriceSettled, ProviderUnavailable, Reversal, Settled, Waiting
from lightphon_core.testing import PaymentProviderContract, ScriptedPayments, promises
from lightphon_core.testing.books import books_in
from lightphon_core.testing.payments import contract as payments
from lightphon_core.testing.payments import in_books as deposits
from lightphon_core.testing.payments import news as payment_news
from lightphon_core.testing.payments.scripted import SIGNATURE
from lightphon_core.testing.payments.steps import AMOUNT
from lightphon_core.testing.scripted_sides import ScriptedPayer


class TestScriptedPayments(PaymentProviderContract):
    @pytest.fixture
    def payer(self):
        return ScriptedPayer(ScriptedPayments())


class TestPolled(PaymentProviderContract):
    """One that pushes nothing."""

    @pytest.fixture
    def payer(self):
        return ScriptedPayer(ScriptedPayments(pushes=False))


class TestPriced(PaymentProviderContract):
    """One that is paid in a currency."""

    @pytest.fixture
    def payer(self):
        return ScriptedPayer(ScriptedPayments(currency="EUR", origin=Origin.CARD))


class Broken(ScriptedPayments):
    """What the subclasses break."""


class RenamingPayer(ScriptedPayer):
    def __init__(self):
        super().__init__(ScriptedPayments())
        self._names = iter(("one", "two"))

    def provider(self):
        return ScriptedPayments(next(self._names))


class OpensWrongly(Broken):
    """Says something else of what it opened."""

    def __init__(self, **changes):
        super().__init__()
        self._changes = changes

    async def open(self, deposit):
        return evolve(await super().open(deposit), **self._changes)


class OpensNothing(Broken):
    async def open(self, deposit):
        return (await super().open(deposit)).ref


class OpensOneOnly(Broken):
    """Whoever asks again gets the first one."""

    async def open(self, deposit):
        await super().open(deposit)
        return next(each.opened for each in self._deposits.values())


class OpensWithoutTime(Broken):
    async def open(self, deposit):
        return await super().open(evolve(deposit, expires_in_s=-1))


class FailsAtHugeAmounts(Broken):
    async def open(self, deposit):
        if deposit.amount > self.most:
            raise OverflowError(deposit.amount)
        return await super().open(deposit)


class RaisesItsOwn(Broken):
    """What its library raises."""

    async def open(self, deposit):
        try:
            return await super().open(deposit)
        except ProviderUnavailable:
            raise OSError("no route to host") from None


class ForgetsLostOnes(Broken):
    """What it says after a lost reply has not been opened."""

    async def open(self, deposit):
        try:
            return await super().open(deposit)
        except ProviderUnavailable:
            opened = self._deposits.pop(self.refs[-1]).opened
            other = ScriptedPayments()
            return evolve(await other.open(deposit), pay=opened.pay)


class ReusesAfterLoss(Broken):
    """A counter that was not moved on when the reply was lost: the next one gets the ref of the one before."""

    lost = False

    async def open(self, deposit):
        before = self.refs
        try:
            opened = await super().open(deposit)
        except ProviderUnavailable:
            self.lost = True
            raise
        return evolve(opened, ref=before[-2]) if self.lost else opened


class LooksUp(Broken):
    """`change(self, ref, state)` is what it says of a deposit."""

    def __init__(self, change, **options):
        super().__init__(**options)
        self._change = change

    async def lookup(self, ref):
        return self._change(self, ref, await super().lookup(ref))


class SaysInCut(Broken):
    """What it says when the wallet is gone."""

    def __init__(self, said):
        super().__init__(pushes=False)
        self._said = said

    async def lookup(self, ref):
        try:
            return await super().lookup(ref)
        except ProviderUnavailable:
            if isinstance(self._said, Exception):
                raise self._said from None
            return self._said


class StaysAway(Broken):
    """Once it has found the wallet gone, it does not ask again."""

    gone = False

    async def lookup(self, ref):
        if self.gone:
            raise ProviderUnavailable("It was gone.")
        try:
            return await super().lookup(ref)
        except ProviderUnavailable:
            self.gone = True
            raise


class ForgetfulPayer(ScriptedPayer):
    """Its provider keeps what it opened in memory: after a restart it knows nothing."""

    def __init__(self):
        super().__init__(ScriptedPayments(pushes=False))

    def provider(self):
        before, self._payments = self._payments, ScriptedPayments(pushes=False)
        self.known = {**getattr(self, "known", {}), **before._deposits}
        return self._payments

    async def pay(self, opened, amount=None):
        if opened.ref in self._payments._deposits:
            return await super().pay(opened, amount)
        return self.known[opened.ref].asked.amount


class OneAtATime(Broken):
    """While two are running, neither hears of anything."""

    running = 0

    def __init__(self):
        super().__init__(pushes=False)

    async def start(self):
        self.running += 1

    async def stop(self):
        self.running -= 1

    async def lookup(self, ref):
        return await super().lookup(ref) if self.running < 2 else Waiting()


class Tells(Broken):
    """`change(event)` is what it tells instead of an event."""

    def __init__(self, change):
        super().__init__()
        self._change = change

    async def events(self, cursor):
        async with aclosing(super().events(cursor)) as events:
            async for event in events:
                yield self._change(event)


class NeverTells(Broken):
    async def events(self, cursor):
        await asyncio.Event().wait()
        yield


class SkipsAfterACursor(Broken):
    """Begins anew one too late."""

    async def events(self, cursor):
        async with aclosing(super().events(cursor and str(int(cursor) + 1))) as events:
            async for event in events:
                yield event


class CountsByOpening(Broken):
    """Its cursor is the number of the deposit: what was opened before and paid later is skipped."""

    async def events(self, cursor):
        async with aclosing(super().events(None)) as events:
            async for event in events:
                number = self.refs.index(event.change.ref) + 1
                if number > int(cursor or 0):
                    yield evolve(event, cursor=str(number))


class EndsAfterOne(Broken):
    async def events(self, cursor):
        async with aclosing(super().events(cursor)) as events:
            yield await anext(events)


class OutlastsItsReader(Broken):
    async def events(self, cursor):
        try:
            async with aclosing(super().events(cursor)) as events:
                async for event in events:
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            await asyncio.Event().wait()


class SwallowsCancellation(Broken):
    async def events(self, cursor):
        try:
            async with aclosing(super().events(cursor)) as events:
                async for event in events:
                    yield event
        except asyncio.CancelledError:
            return


class GoesSilent(Broken):
    """Does not notice that the wallet is gone."""

    async def events(self, cursor):
        try:
            async with aclosing(super().events(cursor)) as events:
                async for event in events:
                    yield event
        except ProviderUnavailable:
            await asyncio.Event().wait()


class BreaksLoudly(Broken):
    async def events(self, cursor):
        try:
            async with aclosing(super().events(cursor)) as events:
                async for event in events:
                    yield event
        except ProviderUnavailable:
            raise ConnectionResetError from None


class BelievesAnybody(Broken):
    async def webhook(self, headers, body):
        return await super().webhook({SIGNATURE: self._signature(body).decode()}, body)


class BelievesAnySignature(Broken):
    """Looks whether there is a signature, and not at it."""

    async def webhook(self, headers, body):
        if SIGNATURE in headers:
            headers = {SIGNATURE: self._signature(body).decode()}
        return await super().webhook(headers, body)


class ComparesText(Broken):
    """hmac.compare_digest takes no text but ASCII."""

    async def webhook(self, headers, body):
        hmac.compare_digest(headers.get(SIGNATURE, ""), self._signature(body).decode())
        return await super().webhook(headers, body)


class AcceptsNoSignature(Broken):
    """An empty one counts as right."""

    async def webhook(self, headers, body):
        if headers.get(SIGNATURE) == "":
            headers = {SIGNATURE: self._signature(body).decode()}
        return await super().webhook(headers, body)


class TellsOfAnother(Broken):
    """Says of each payment that it paid the first deposit as well."""

    async def events(self, cursor):
        async with aclosing(super().events(cursor)) as events:
            async for event in events:
                yield event
                yield evolve(event, change=evolve(event.change, ref=self.refs[0]))


class SaysOtherwise(Broken):
    """`change(said)` is what its webhook says."""

    def __init__(self, change):
        super().__init__(currency="EUR")
        self._change = change

    async def webhook(self, headers, body):
        return [self._change(each) for each in await super().webhook(headers, body)]


class TrustsTheShape(Broken):
    async def webhook(self, headers, body):
        return [Hint(json.loads(body)["ref"])]


class IsDeaf(Broken):
    async def webhook(self, headers, body):
        await super().webhook(headers, body)
        return []


class HearsOfTheFirst(Broken):
    async def webhook(self, headers, body):
        await super().webhook(headers, body)
        return [Hint("f" * 64)]


class ShowsItsSecret(Broken):
    def __init__(self, where):
        super().__init__()
        self._where = where

    def __repr__(self):
        return f"<key {self.secret.hex()}>" if self._where == "repr" else "<wallet>"

    async def start(self):
        if self._where == "log":
            structlog.stdlib.get_logger("lightphon.broken").debug("connects", url=f"ws://wallet/{self.secret.hex()}")

    async def lookup(self, ref):
        try:
            return await super().lookup(ref)
        except ProviderUnavailable:
            if self._where == "error":
                raise ProviderUnavailable(f"ws://wallet/{self.secret.hex()} does not answer.") from None
            if self._where == "cause":
                raise ProviderUnavailable("No answer.") from OSError(f"ws://wallet/{self.secret.hex()}")
            raise


class Sleeps(Broken):
    async def open(self, deposit):
        time.sleep(0.001)
        return await super().open(deposit)


class Blocks(Broken):
    async def lookup(self, ref):
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            return await super().lookup(ref)


def sats(state):
    return evolve(state, amount=state.amount // 1_000) if isinstance(state, Settled) else state


def of(provider):
    return lambda: ScriptedPayer(provider())


def looks(change, **options):
    return of(lambda: LooksUp(change, **options))


def polled(change):
    return looks(change, pushes=False)


def priced(change):
    return looks(change, pushes=False, currency="EUR")


def says(change):
    """What it says of reversals."""
    return of(lambda: SaysOtherwise(lambda said: change(said) if isinstance(said, Reversal) else said))


def in_dollars(state):
    return evolve(state, price=evolve(state.price, currency="USD")) if isinstance(state, PriceSettled) else state


def opens(**changes):
    return of(lambda: OpensWrongly(**changes))


def tells(change):
    return of(lambda: Tells(change))


def named(name):
    return of(lambda: ScriptedPayments(name))


BROKEN = [
    ("check_name", named(None), "name is a string"),
    ("check_name", named("my wallet"), "one plain word"),
    ("check_name", named("kröte"), "one plain word"),
    ("check_name", RenamingPayer, "never changes"),
    ("check_name", of(lambda: ScriptedPayments(origin=Origin.GRANTED)), "by card or by Lightning"),
    ("check_name", of(lambda: ScriptedPayments(play_money=None)), "play money, or is not"),
    ("check_name", of(lambda: ScriptedPayments(pushes=None)), "pushes, or does not"),
    ("check_name", of(lambda: ScriptedPayments(currency="euro")), "three capital letters"),
    ("check_name", of(lambda: ScriptedPayments(test_pay_path="/api/pay")), "play money is paid with a click"),
    ("check_name", of(lambda: ScriptedPayments(play_money=True, test_pay_path="//evil.example")), "a path below /api/"),
    ("check_open", of(OpensNothing), "returns an Opened"),
    ("check_open", opens(ref="lightning:ü"), "plain text"),
    ("check_open", opens(ref="a\nb"), "plain text"),
    ("check_open", opens(ref="x" * 256), "bounded length"),
    ("check_open", opens(expires_at=time.time() * 1_000), "in seconds"),
    ("check_open", of(OpensWithoutTime), "to come"),
    ("check_open", opens(pay={}), "is told how"),
    ("check_open", opens(pay={"invoice": ""}), "not empty"),
    ("check_open", of(OpensOneOnly), "a ref of its own"),
    ("check_open", opens(pay={"invoice": "always the same"}), "paid by itself"),
    ("check_waiting", looks(lambda _, __, state: Gone() if state == Waiting() else state), "is Waiting, not Gone"),
    ("check_waiting", looks(lambda _, ref, __: Settled(ref, AMOUNT)), "is Waiting, not Settled"),
    ("check_waiting", ForgetfulPayer, "is Waiting, not Gone"),
    ("check_settled", looks(lambda _, __, state: sats(state)), "in millisatoshi"),
    ("check_settled", looks(lambda *_: Settled("f" * 64, AMOUNT)), "what came is"),
    ("check_settled", looks(lambda *_: True), "returns a DepositState"),
    ("check_settled", looks(lambda *_: Waiting()), "is settled; it did not"),
    ("check_settled", ForgetfulPayer, "after a restart"),
    ("check_settled", priced(lambda _, __, state: in_dollars(state)), "what came is"),
    ("check_amounts", looks(lambda self, ref, _: Settled(ref, self._deposits[ref].asked.amount)), "what came is"),
    ("check_amounts", of(FailsAtHugeAmounts), "not OverflowError"),
    ("check_unknown", looks(lambda self, ref, _: self._deposits[ref]), "not KeyError"),
    ("check_unknown", looks(lambda *_: Waiting()), "is Gone, not Waiting"),
    ("check_expiry", looks(lambda _, ref, state: Settled(ref, 1) if state == Gone() else state), "was not paid"),
    (
        "check_expiry",
        looks(lambda self, ref, state: Gone() if self._deposits[ref].over else state),
        "is settled; it did not",
    ),
    ("check_cut", of(RaisesItsOwn), "not OSError"),
    ("check_cut", of(lambda: SaysInCut(Gone())), "is ProviderUnavailable, not Gone"),
    ("check_cut", of(lambda: SaysInCut(Waiting())), "is ProviderUnavailable, not Waiting"),
    ("check_cut", of(lambda: SaysInCut(TimeoutError())), "not TimeoutError"),
    ("check_cut", of(StaysAway), "is heard again; it did not"),
    ("check_lost_reply", of(RaisesItsOwn), "not OSError"),
    ("check_lost_reply", of(ForgetsLostOnes), "can be paid"),
    ("check_events", of(NeverTells), "tells of a payment; it did not"),
    ("check_events", of(SkipsAfterACursor), "every payment after the cursor; it did not"),
    ("check_events", of(CountsByOpening), "every payment after the cursor; it did not"),
    ("check_events", of(EndsAfterOne), "without end"),
    ("check_events", tells(lambda event: event.change), "yields Events"),
    ("check_events", tells(lambda event: evolve(event, cursor=int(event.cursor))), "cursor is text"),
    ("check_events", tells(lambda event: evolve(event, change=sats(event.change))), "what came is"),
    ("check_events", tells(lambda event: evolve(event, change=Settled("f" * 64, 1))), "tells of a payment; it did not"),
    ("check_events_end", of(OutlastsItsReader), "that are closed end; it did not"),
    ("check_events_end", of(SwallowsCancellation), "lets the cancellation through"),
    ("check_events_end", of(GoesSilent), "of a wallet that has gone end; it did not"),
    ("check_events_end", of(BreaksLoudly), "not ConnectionResetError"),
    ("check_webhook", of(BelievesAnybody), "without a signature"),
    ("check_webhook", of(BelievesAnySignature), "without a signature"),
    ("check_webhook", of(ComparesText), "not TypeError"),
    ("check_webhook", of(AcceptsNoSignature), "a wrong signature"),
    ("check_webhook", of(TrustsTheShape), "not JSONDecodeError"),
    ("check_webhook", of(IsDeaf), "is understood"),
    ("check_webhook", of(HearsOfTheFirst), "that it is about"),
    *(
        ("check_manners", of(lambda where=where: ShowsItsSecret(where)), "shown to nobody")
        for where in ("repr", "log", "error", "cause")
    ),
    ("check_manners", of(Sleeps), "time.sleep"),
    ("check_manners", of(Blocks), "a blocking socket"),
    ("books_once", polled(lambda _, __, state: sats(state)), "what came is credited"),
    ("books_order", of(OpensOneOnly), "opens deposits"),
    ("books_away", ForgetfulPayer, "is credited; it did not"),
    ("books_replicas", of(OneAtATime), "is credited; it did not"),
    ("books_amount", polled(lambda self, ref, _: Settled(ref, self._deposits[ref].asked.amount)), "not"),
    ("books_amount", priced(lambda self, ref, _: PriceSettled(ref, self._deposits[ref].asked.price)), "not credited"),
    ("books_reversed", says(lambda said: evolve(said, object=secrets.token_hex())), "taken back are"),
    ("books_reversed", says(lambda said: evolve(said, returned=False)), "taken back are"),
    ("books_reversed", says(lambda said: evolve(said, returned=True)), "taken back are"),
    ("books_late", polled(lambda _, ref, state: Settled(ref, 1) if state == Gone() else state), "expires"),
    ("books_lost_reply", of(ReusesAfterLoss), "opens deposits"),
    ("books_cut", of(lambda: SaysInCut(Gone())), "takes no deposit back|is credited"),
    ("books_lies", of(BelievesAnybody), "not paid is not credited"),
    ("books_lies", of(TellsOfAnother), "not paid is not credited|what was paid in, once"),
    ("books_lies", of(TrustsTheShape), "not ProviderUnavailable"),
]
CHECKS = {check.__name__: check for check in [*payments.CHECKS, *deposits.CHECKS]}


@pytest.mark.parametrize(("check", "broken", "words"), BROKEN, ids=[f"{name}-{words}" for name, _, words in BROKEN])
async def test_a_broken_promise_is_caught(check, broken, words, monkeypatch, tmp_path):
    # Long enough for whatever comes on a busy machine; short where the test is that nothing does.
    monkeypatch.setattr(promises, "PATIENCE_S", 2.0 if words.endswith("it did not") else 60.0)
    monkeypatch.setattr(payment_news, "AGAIN_S", 0.05)
    books = [books_in(tmp_path)] if check.startswith("books") else []
    with pytest.raises(AssertionError, match=words):
        await CHECKS[check](broken(), *books)


def test_every_check_has_something_to_catch():
    assert {name for name, _, _ in BROKEN} == CHECKS.keys()
