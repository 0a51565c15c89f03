"""The suite of payout providers passes one that keeps its promises, and each check catches one that breaks its own."""

import asyncio
import logging
import secrets
import time

import pytest
from attrs import evolve

from lightphon_core import Failed, InFlight, InvalidRequest, NotKnown, NotSent, Paid, ProviderUnavailable
from lightphon_core.testing import PayoutProviderContract, ScriptedPayouts, promises
from lightphon_core.testing.books import books_in
from lightphon_core.testing.payouts import contract as payouts
from lightphon_core.testing.payouts import in_books as withdrawals
from lightphon_core.testing.scripted_sides import ScriptedPayee

SECRET = "f00d" * 8


class TestScriptedPayouts(PayoutProviderContract):
    @pytest.fixture
    def payee(self):
        return ScriptedPayee(ScriptedPayouts())


class TestWithALeastCap(PayoutProviderContract):
    """A wallet that pays only where it may spend so much on fees."""

    @pytest.fixture
    def payee(self):
        return ScriptedPayee(ScriptedPayouts(least_cap=4_000))


class Broken(ScriptedPayouts):
    """What the subclasses break."""


class RenamingPayee(ScriptedPayee):
    def __init__(self):
        super().__init__(ScriptedPayouts())
        self._names = iter(("one", "two"))

    def provider(self):
        return ScriptedPayouts(next(self._names))


class CapsWrongly(Broken):
    def __init__(self, cap):
        super().__init__()
        self._cap = cap

    def least_fee_cap(self, amount):
        return self._cap


class Reads(Broken):
    """`change(self, text, found)` is what it reads."""

    def __init__(self, change):
        super().__init__()
        self._change = change

    def read(self, destination):
        return self._change(self, destination, super().read(destination))


class Refuses(Broken):
    """`error(text)` is what it raises where nothing can be paid."""

    def __init__(self, error):
        super().__init__()
        self._error = error

    def read(self, destination):
        try:
            return super().read(destination)
        except InvalidRequest:
            raise self._error(destination) from None


class TakesForeignNetworks(Broken):
    def read(self, destination):
        return super().read(destination.replace("bitcoin:", "scripted:"))


class ReadsAfterAsking(Broken):
    def read(self, destination):
        self.line.begin("read")
        return super().read(destination)


class Resolves(Broken):
    """`change(invoice)` is what an address gives."""

    def __init__(self, change):
        super().__init__()
        self._change = change

    async def resolve(self, address, amount):
        return self._change(await super().resolve(address, amount))


class ResolvesToOne(Broken):
    def invoice(self, amount, **options):
        return super().invoice(amount, ref="a" * 64)


class FindsNobody(Broken):
    async def resolve(self, address, amount):
        try:
            return await super().resolve(address, amount)
        except InvalidRequest:
            raise ProviderUnavailable("Nobody answers.") from None


class Pays(Broken):
    """`change(self, payment, state)` is what it says of a payment."""

    def __init__(self, change, **options):
        super().__init__(**options)
        self._change = change

    async def pay(self, payment):
        return self._change(self, payment, await super().pay(payment))


class LooksUp(Broken):
    """`change(state)` is what it finds."""

    def __init__(self, change, **options):
        super().__init__(**options)
        self._change = change

    async def lookup(self, ref):
        return self._change(await super().lookup(ref))


class PaysTwice(Broken):
    """Whoever asks again pays again."""

    async def pay(self, payment):
        if any(each.ref == payment.ref for each in self.left):
            self.left.append(payment)
        return await super().pay(payment)


class PaysTwiceAtOnce(Broken):
    """It looks whether it has paid, waits, and pays."""

    async def pay(self, payment):
        known = any(each.ref == payment.ref for each in self.left)
        await asyncio.sleep(0)
        if not known and any(each.ref == payment.ref for each in self.left):
            self.left.append(payment)
        return await super().pay(payment)


class FailsTheSecondTime(Broken):
    """As a wallet that says "already paid", which was taken for a failure."""

    def __init__(self, error=None):
        super().__init__()
        self._error = error

    async def pay(self, payment):
        if any(each.ref == payment.ref for each in self.left):
            if self._error is not None:
                raise self._error
            return Failed("This invoice is already paid.")
        return await super().pay(payment)


class NeverEnds(Broken):
    def __init__(self):
        super().__init__()
        self.in_flight = True


class IgnoresTheCap(Broken):
    async def pay(self, payment):
        return await super().pay(evolve(payment, fee_cap=self.fee))


class HidesTheFee(Broken):
    async def pay(self, payment):
        state = await super().pay(payment)
        return Paid(0) if isinstance(state, Paid) else state

    async def lookup(self, ref):
        state = await super().lookup(ref)
        return Paid(0) if isinstance(state, Paid) else state


class LosesIts(Broken):
    """What it says when the reply to a payment was lost."""

    def __init__(self, said):
        super().__init__()
        self._said = said

    async def pay(self, payment):
        try:
            return await super().pay(payment)
        except ProviderUnavailable:
            if isinstance(self._said, Exception):
                raise self._said from None
            return self._said


class SaysInCut(Broken):
    """What it says of a payment when the wallet is gone."""

    def __init__(self, said, method):
        super().__init__()
        self._said, self._method = said, method

    async def _or(self, method, work):
        try:
            return await work
        except ProviderUnavailable:
            if method != self._method:
                raise
            return self._said

    async def pay(self, payment):
        return await self._or("pay", super().pay(payment))

    async def lookup(self, ref):
        return await self._or("lookup", super().lookup(ref))

    async def sent(self, since):
        return await self._or("sent", super().sent(since))


class QueuesWhatItDidNotSend(Broken):
    """Says that it has not sent it, and sends it later."""

    async def pay(self, payment):
        try:
            return await super().pay(payment)
        except ProviderUnavailable:
            self.line.up = True
            await super().pay(payment)
            self.line.up = False
            raise NotSent("The wallet cannot be reached.") from None


class ForgetfulPayee(ScriptedPayee):
    """Its provider keeps what it paid in memory: after a restart it knows nothing."""

    def __init__(self):
        super().__init__(ScriptedPayouts())

    def provider(self):
        self._payouts._outgoing.clear()
        return self._payouts


class Lists(Broken):
    """`change(self, found)` is what it lists as sent."""

    def __init__(self, change):
        super().__init__()
        self._change = change

    async def sent(self, since):
        return self._change(self, list(await super().sent(since)))


class ListsAll(Broken):
    async def sent(self, since):
        return await super().sent(0)


class ShowsItsSecret(Broken):
    def __init__(self, where):
        super().__init__()
        self._where = where

    def __repr__(self):
        return f"<key {SECRET}>" if self._where == "repr" else "<wallet>"

    async def pay(self, payment):
        try:
            return await super().pay(payment)
        except ProviderUnavailable:
            if self._where == "log":
                logging.getLogger("broken").warning("%s does not answer", f"https://{SECRET}@wallet")
            if self._where == "error":
                raise ProviderUnavailable(f"https://{SECRET}@wallet does not answer.") from None
            raise


class Sleeps(Broken):
    async def pay(self, payment):
        time.sleep(0.001)
        return await super().pay(payment)


class KeepsASecret(ScriptedPayee):
    secrets = (SECRET,)


def of(provider):
    return lambda: KeepsASecret(provider())


def reads(change):
    return of(lambda: Reads(change))


def refuses(error):
    return of(lambda: Refuses(error))


def pays(change, **options):
    return of(lambda: Pays(lambda _, __, state: change(state), **options))


def looks(change):
    return of(lambda: LooksUp(change))


def lists(change):
    return of(lambda: Lists(lambda _, found: [change(each) for each in found]))


def resolves(change):
    return of(lambda: Resolves(change))


def cut(method, said):
    return of(lambda: SaysInCut(said, method))


BROKEN = [
    ("check_name", of(lambda: ScriptedPayouts(None)), "name is a string"),
    ("check_name", of(lambda: ScriptedPayouts("my wallet")), "one plain word"),
    ("check_name", RenamingPayee, "never changes"),
    ("check_name", of(lambda: CapsWrongly(0.5)), "whole number of msat"),
    ("check_name", of(lambda: CapsWrongly(10**9)), "more than the payment"),
    ("check_read", reads(lambda self, text, found: found.text), "read as an Invoice"),
    ("check_read", reads(lambda self, text, found: evolve(found, amount=(found.amount or 0) // 1_000)), "is over"),
    ("check_read", reads(lambda self, text, found: evolve(found, amount=found.amount or 0)), "is over None"),
    ("check_read", reads(lambda self, text, found: evolve(found, expires_at=found.expires_at * 1_000)), "in seconds"),
    ("check_read", reads(lambda self, text, found: evolve(found, text="")), "the text that is paid"),
    ("check_read", reads(lambda self, text, found: evolve(found, ref="a" * 64)), "its own ref"),
    ("check_read", reads(lambda self, text, found: evolve(found, text=secrets.token_hex())), "the same way again"),
    ("check_read", reads(lambda self, text, found: self.read(self.invoice(1)) if "@" in text else found), "an Address"),
    ("check_read", refuses(lambda text: InvalidRequest("No.")), "param names the field"),
    ("check_read", refuses(lambda text: InvalidRequest("", param="destination")), "says why"),
    ("check_read", refuses(lambda text: InvalidRequest(f"{text!r}?", param="destination")), "does not repeat"),
    ("check_read", refuses(lambda text: ValueError("bad checksum")), "not ValueError"),
    ("check_read", of(TakesForeignNetworks), "InvalidRequest, not None"),
    ("check_read_alone", of(ReadsAfterAsking), "asks nobody"),
    ("check_resolve", resolves(lambda invoice: evolve(invoice, amount=invoice.amount + 1)), "exactly"),
    ("check_resolve", resolves(lambda invoice: invoice.text), "returns an Invoice"),
    ("check_resolve", resolves(lambda invoice: evolve(invoice, ref="a" * 64)), "reads as that invoice"),
    ("check_resolve", of(ResolvesToOne), "a new invoice"),
    ("check_resolve", of(FindsNobody), "is InvalidRequest, not ProviderUnavailable"),
    ("check_paid", pays(lambda state: True), "returns a PaymentState"),
    ("check_paid", pays(lambda state: NotKnown()), "is Paid or InFlight"),
    ("check_paid", pays(lambda state: Paid(0.0)), "a whole number"),
    ("check_paid", pays(lambda state: Paid(-1)), "at most the cap"),
    ("check_paid", pays(lambda state: Paid(10**6)), "at most the cap"),
    ("check_paid", pays(lambda state: Paid(7)), "is looked up as"),
    ("check_paid", pays(lambda state: state, fee=5_000), "is Paid or InFlight"),
    ("check_paid", of(lambda: Pays(lambda self, payment, state: self.left.pop() and state)), "has arrived, once"),
    ("check_paid", ForgetfulPayee, "after a restart"),
    ("check_once", of(PaysTwice), "once"),
    ("check_once", of(PaysTwiceAtOnce), "once"),
    ("check_once", of(FailsTheSecondTime), "not Failed"),
    ("check_once", of(lambda: FailsTheSecondTime(NotSent("It was sent before."))), "not NotSent"),
    ("check_once", ForgetfulPayee, "once|is looked up"),
    ("check_failed", of(NeverEnds), "ends as Failed; it did not"),
    ("check_failed", pays(lambda state: Failed("")), "is told why"),
    ("check_failed", looks(lambda state: InFlight()), "not InFlight"),
    ("check_fee_cap", of(IgnoresTheCap), "costs no more than its cap"),
    ("check_fee_cap", of(HidesTheFee), "the fee is what it cost"),
    ("check_in_flight", pays(lambda state: Failed("It took too long.")), "under way is InFlight, not Failed"),
    ("check_in_flight", looks(lambda state: NotKnown()), "is looked up as InFlight, not NotKnown"),
    ("check_in_flight", looks(lambda state: Failed("Late.")), "is looked up as InFlight, not Failed"),
    ("check_in_flight", ForgetfulPayee, "still InFlight after a restart"),
    ("check_in_flight", looks(lambda state: InFlight()), "ends as Paid; it did not"),
    ("check_lost_reply", of(lambda: LosesIts(Failed("No answer."))), "not Failed"),
    ("check_lost_reply", of(lambda: LosesIts(NotSent("No answer."))), "not NotSent"),
    ("check_lost_reply", of(lambda: LosesIts(NotKnown())), "not NotKnown"),
    ("check_lost_reply", of(lambda: LosesIts(TimeoutError())), "not TimeoutError"),
    ("check_cut", cut("pay", Failed("Gone.")), "has not said Failed"),
    ("check_cut", cut("pay", NotKnown()), "has not said NotKnown"),
    ("check_cut", cut("lookup", NotKnown()), "has not said NotKnown"),
    ("check_cut", cut("sent", []), "has not said \\[\\]"),
    ("check_cut", of(QueuesWhatItDidNotSend), "NotSent"),
    ("check_unknown", looks(lambda state: Failed("There is none.")), "is NotKnown, not Failed"),
    ("check_unknown", looks(lambda state: InFlight()), "is NotKnown, not InFlight"),
    ("check_sent", lists(lambda each: each.ref), "returns Outgoings"),
    ("check_sent", of(lambda: Lists(lambda self, found: found * 2)), "each payment once"),
    ("check_sent", of(lambda: Lists(lambda self, found: [])), "is listed"),
    ("check_sent", lists(lambda each: evolve(each, amount=each.amount // 1_000)), "the amount is"),
    ("check_sent", lists(lambda each: evolve(each, state=InFlight())), "listed as Paid"),
    ("check_sent", lists(lambda each: evolve(each, at=each.at * 1_000)), "in seconds"),
    ("check_sent", of(ListsAll), "is left out"),
    ("check_sent", of(lambda: Lists(lambda self, found: found[:1])), "what others sent"),
    *(
        ("check_manners", of(lambda where=where: ShowsItsSecret(where)), "shown to nobody")
        for where in ("repr", "log", "error")
    ),
    ("check_manners", of(Sleeps), "time.sleep"),
    ("books_paid", of(lambda: Pays(lambda self, payment, state: self.left.pop() and state)), "arrives once"),
    ("books_paid", of(lambda: Pays(lambda self, payment, state: self.left.append(payment) or state)), "arrives once"),
    ("books_failed", of(IgnoresTheCap), "does not end as paid"),
    ("books_failed", pays(lambda state: Failed("") if isinstance(state, Failed) else state), "is told why"),
    ("books_in_flight", pays(lambda state: Failed("It took too long.")), "has not ended"),
    ("books_in_flight", looks(lambda state: Failed("Late.")), "has not ended"),
    ("books_lost_reply", of(lambda: LosesIts(NotSent("No answer."))), "does not end as failed"),
    ("books_lost_reply", of(lambda: LosesIts(Failed("No answer."))), "does not end as failed"),
    ("books_cut", cut("pay", Paid(0)), "is not Paid"),
    ("books_cut", of(QueuesWhatItDidNotSend), "does not arrive"),
    ("books_restored", of(lambda: Lists(lambda self, found: [])), "what others sent"),
]
CHECKS = {check.__name__: check for check in [*payouts.CHECKS, *withdrawals.CHECKS]}


@pytest.mark.parametrize(("check", "broken", "words"), BROKEN, ids=[f"{name}-{words}" for name, _, words in BROKEN])
async def test_a_broken_promise_is_caught(check, broken, words, monkeypatch, tmp_path):
    # Long enough for whatever comes on a busy machine; short where the test is that nothing does.
    monkeypatch.setattr(promises, "PATIENCE_S", 2.0 if words.endswith("it did not") else 60.0)
    books = [books_in(tmp_path)] if check.startswith("books") else []
    with pytest.raises(AssertionError, match=words):
        await CHECKS[check](broken(), *books)


def test_every_check_has_something_to_catch():
    assert {name for name, _, _ in BROKEN} == CHECKS.keys()
