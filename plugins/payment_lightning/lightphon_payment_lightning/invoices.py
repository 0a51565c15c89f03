"""BOLT 11 invoices, read and written. Pure, and the only module that imports bolt11.

bolt11 checks the bech32 sum and the signature, and takes the fields apart. It is lenient where money must not be: it
rounds amounts, lets repeated fields pass and reads what follows an unknown currency. That is looked at here first, on
the words themselves (BOLT 11, "Human-Readable Part" and "Tagged Fields").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import bolt11
from attrs import frozen
from bech32 import CHARSET, bech32_decode

from lightphon_core import Invoice
from lightphon_payment_lightning.network import Network

MAX_TEXT = 4_000
"""Characters. Real ones have 200 to 600."""
_SIGNATURE_WORDS = 104
_TIME_WORDS = 7
_ONCE = frozenset("psdhnxc")
_FOREVER = 2.0**40
"""Later than any invoice expires: the field for it could hold more than a float does."""
_HRP = re.compile(r"ln(?P<currency>bcrt|bc|tbs|tb)((?P<digits>[1-9][0-9]{0,18})(?P<unit>[munp]?))?", re.ASCII)
_MSAT_OF_UNIT = {"": 10**11, "m": 10**8, "u": 10**5, "n": 10**2}
_NETWORK = {network.currency: network for network in Network}


class InvoiceError(ValueError):
    """What is no invoice, or not the one that it should be. The message says why, as a sentence, and quotes nothing."""


@frozen
class Bolt11:
    """An invoice, and what only some want to know of it. `description_hash` is 64 hex digits; None where the invoice
    has its description in clear."""

    invoice: Invoice
    network: Network
    description_hash: str | None = None


def decode(text: str) -> Bolt11:
    """What an invoice says, in small letters or in capitals. Raises `InvoiceError`."""
    if len(text) > MAX_TEXT or text not in (text.lower(), text.upper()):
        raise InvoiceError("This is not a Lightning invoice.")
    text = text.lower()
    hrp, words = bech32_decode(text)
    if hrp is None or words is None or not hrp.startswith("ln"):
        raise InvoiceError("This is not a Lightning invoice, or it is misspelt.")
    network, amount = _human_readable(hrp)
    repeated = [name for name, count in Counter(_fields(words)).items() if count > 1 and name in _ONCE]
    if repeated:
        raise InvoiceError("This Lightning invoice says something twice.")
    try:
        found = bolt11.decode(text)
        expires_at = min(float(min(found.date + found.expiry, int(_FOREVER))), _FOREVER)
        return Bolt11(Invoice(found.payment_hash, text, amount, expires_at), network, found.description_hash)
    except Exception as error:  # it raises whatever the libraries below it raise
        raise InvoiceError("This Lightning invoice is broken, or its signature is wrong.") from error


def checked(text: str, network: Network, *, amount: int, now: float) -> Bolt11:
    """`decode`, of what must be an invoice of `network` over exactly `amount` msat that can be paid at `now`. Raises
    `InvoiceError`."""
    found = decode(text)
    if found.network is not network:
        raise InvoiceError(f"The invoice is of the network {found.network.value}, not of {network.value}.")
    if found.invoice.amount != amount:
        raise InvoiceError("The invoice is over another amount.")
    if found.invoice.expires_at <= now:
        raise InvoiceError("The invoice has expired.")
    return found


def sign(
    network: Network,
    *,
    amount: int,
    payment_hash: str,
    payment_secret: str,
    memo: str,
    created_at: int,
    expires_in_s: int,
    private_key: str,
) -> str:
    """An invoice over `amount` msat, less than a thousand bitcoin, signed with `private_key`. Hash, secret and key
    are 64 hex digits each."""
    tags = bolt11.Tags()
    tags.add(bolt11.TagChar.payment_hash, payment_hash)
    tags.add(bolt11.TagChar.payment_secret, payment_secret)
    tags.add(bolt11.TagChar.description, memo)
    tags.add(bolt11.TagChar.expire_time, expires_in_s)
    tags.add(bolt11.TagChar.min_final_cltv_expiry, 18)
    unsigned = bolt11.Bolt11(network.currency, created_at, tags, bolt11.MilliSatoshi(amount))
    return bolt11.encode(unsigned, private_key)


def _human_readable(hrp: str) -> tuple[Network, int | None]:
    """Network and amount, from what stands before the last "1"."""
    found = _HRP.fullmatch(hrp)
    if found is None:
        raise InvoiceError("This Lightning invoice is of an unknown network, or its amount is wrong.")
    network = _NETWORK[found["currency"]]
    if found["digits"] is None:
        return network, None
    number = int(found["digits"])
    if found["unit"] != "p":
        return network, number * _MSAT_OF_UNIT[found["unit"]]
    if number % 10:
        raise InvoiceError("The amount of this Lightning invoice is finer than a millisatoshi.")
    return network, number // 10


def _fields(words: Sequence[int]) -> Iterator[str]:
    """The names of the tagged fields, one letter each, in their order."""
    at, end = _TIME_WORDS, len(words) - _SIGNATURE_WORDS
    while at + 3 <= end:
        yield CHARSET[words[at]]
        at += 3 + words[at + 1] * 32 + words[at + 2]
