"""Checks of payout providers: what somebody typed is read, and addresses are resolved."""

from __future__ import annotations

import time

from lightphon_core.errors import InvalidRequest, ProviderUnavailable
from lightphon_core.ports import PayoutProvider
from lightphon_core.testing.payments.states import is_a_word
from lightphon_core.testing.payouts.steps import staged
from lightphon_core.testing.promises import answer
from lightphon_core.testing.sides import Can, Payee
from lightphon_core.types import Address, Invoice

GARBAGE = [
    "",
    " ",
    "\x00",
    "lnbc",
    "lnbc1",
    "LNBC" + "Q" * 300,
    "nobody@",
    "@example.com",
    "a@b@example.com",
    "lightning:",
    "https://example.com/",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "ä" * 50,
    "\ud800",
    "1" * 100_000,
    "lnbcrt1" + "q" * 100_000,
    "a" * 100_000 + "@example.com",
]
"""What nobody can pay."""


async def check_name(payee: Payee) -> None:
    """A name, the same for good, and a least fee cap that makes sense."""
    provider = payee.provider()
    is_a_word(provider.name, payee.provider().name)
    least = provider.least_fee_cap(payee.amount)
    assert type(least) is int, f"a fee cap is a whole number of msat, not {least!r}"
    assert 0 <= least <= payee.amount, f"a fee cap is in msat, and {least} for {payee.amount} is more than the payment"


async def check_read(payee: Payee) -> None:
    """An invoice and an address are read as what they are, and nothing else is."""
    async with staged(payee) as stage:
        amounts = [payee.amount, payee.amount + 1_000, *([None] if Can.AMOUNTLESS in payee.can else [])]
        texts = [await payee.invoice(amount) for amount in amounts]
        read = [stage.provider.read(text) for text in texts]
        for invoice, amount in zip(read, amounts, strict=True):
            assert isinstance(invoice, Invoice), f"the text of an invoice is read as an Invoice, not {invoice!r}"
            assert invoice.amount == amount, f"the invoice is over {amount} msat, not {invoice.amount}"
            assert invoice.text, "an invoice has the text that is paid"
            assert time.time() < invoice.expires_at < time.time() + 366 * 86_400, "expires_at is in seconds since 1970"
        assert len({each.ref for each in read if isinstance(each, Invoice)}) == len(read), (
            "each invoice has its own ref"
        )
        assert stage.provider.read(texts[0]) == read[0], "the same text is read the same way again"
        if Can.ADDRESS in payee.can:
            address = stage.provider.read(await payee.address())
            assert isinstance(address, Address), f"an address is read as an Address, not {address!r}"
        for text in [*GARBAGE, *payee.wrong]:
            _refused(stage.provider, text)


def _refused(provider: PayoutProvider, text: str) -> None:
    error: Exception | None = None
    try:
        provider.read(text)
    except Exception as raised:  # noqa: BLE001 - judged below
        error = raised
    assert isinstance(error, InvalidRequest), f"what nobody can pay is InvalidRequest, not {error!r}: {text[:40]!r}"
    assert error.param == "destination", f"param names the field: 'destination', not {error.param!r}"
    assert error.message, "a refusal says why"
    assert len(error.message) < 1_000, "a refusal does not repeat whatever was typed"


async def check_read_alone(payee: Payee) -> None:
    """Reading asks nobody: it does the same while the wallet is gone, and before the start."""
    provider, text = payee.provider(), await payee.invoice(payee.amount)
    if Can.CUT in payee.can:
        await payee.cut()
    try:
        found = provider.read(text)
    except Exception as error:
        raise AssertionError(f"read() asks nobody, and does not raise {error!r} while the wallet is gone") from error
    finally:
        if Can.CUT in payee.can:
            await payee.mend()
    assert isinstance(found, Invoice), f"the text of an invoice is read as an Invoice, not {found!r}"


async def check_resolve(payee: Payee) -> None:
    """An address gives an invoice over exactly the amount, a new one each time; where there is nobody it gives none."""
    if Can.ADDRESS not in payee.can:
        return
    async with staged(payee) as stage:
        address, stranger = [stage.provider.read(await payee.address(known=known)) for known in (True, False)]
        assert isinstance(address, Address), f"an address is read as an Address, not {address!r}"
        assert isinstance(stranger, Address), f"an address is read as an Address, not {stranger!r}"
        refs = set()
        for amount in (payee.amount, payee.amount + 1_000, payee.amount):
            invoice = await answer(stage.provider.resolve(address, amount), "resolve()")
            assert isinstance(invoice, Invoice), f"resolve() returns an Invoice, not {invoice!r}"
            assert invoice.amount == amount, f"an invoice is over exactly what was asked for, {amount} msat"
            assert stage.provider.read(invoice.text) == invoice, "an invoice's text reads as that invoice"
            refs.add(invoice.ref)
        assert len(refs) == 3, "each time there is a new invoice"
        error = await answer(
            stage.provider.resolve(stranger, payee.amount), "resolve()", InvalidRequest, ProviderUnavailable
        )
        assert isinstance(error, InvalidRequest), f"an address of nobody is InvalidRequest, not {error!r}"
        assert error.param == "destination", f"param names the field: 'destination', not {error.param!r}"
