"""BOLT 11: its own examples, what is written here, and what must not pass for an invoice."""

import bolt11
import pytest
from bech32 import CHARSET, bech32_decode, bech32_encode
from hypothesis import given
from hypothesis import strategies as st
from lightphon_payment_lightning.invoices import InvoiceError, checked, decode, sign
from lightphon_payment_lightning.network import Network

KEY = "e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734"
HASH = "0001020304050607080900010203040506070809000102030405060708090102"
# The example "Please send $3 for a cup of coffee to the same peer, within one minute" of BOLT 11.
COFFEE = (
    "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcy"
    "q5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3"
    "qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh"
)


def signed(amount=1_000, network=Network.REGTEST, **more):
    given = {
        "payment_hash": HASH,
        "payment_secret": "11" * 32,
        "memo": "a cup of coffee",
        "created_at": 1_700_000_000,
        "expires_in_s": 600,
        "private_key": KEY,
    }
    return sign(network, amount=amount, **{**given, **more})


def test_an_example_of_the_specification():
    found = decode(COFFEE)
    assert (found.network, found.invoice.amount) == (Network.BITCOIN, 250_000_000)
    assert found.invoice.ref == HASH
    assert found.invoice.expires_at == 1496314658 + 60
    assert decode(COFFEE.upper()) == found


@given(st.integers(1, 10**14 - 1), st.sampled_from(Network))
def test_what_is_signed_is_read(amount, network):
    found = checked(signed(amount, network), network, amount=amount, now=1_700_000_599)
    assert (found.invoice.ref, found.invoice.amount, found.invoice.expires_at) == (HASH, amount, 1_700_000_600)


def crafted(hrp, extra=()):
    """An invoice with a human-readable part, or fields, that no library would write, and yet with a valid signature."""
    _, words = bech32_decode(signed())
    data = [*words[:-104], *extra]
    bits = "".join(f"{word:05b}" for word in data)
    signing = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    made = bolt11.Signature.from_private_key(hrp, KEY, signing).signature_data
    signature = [int(f"{int.from_bytes(made, 'big'):0520b}"[i : i + 5], 2) for i in range(0, 520, 5)]
    return bech32_encode(hrp, [*data, *signature])


def field(name, words):
    return [CHARSET.index(name), *divmod(len(words), 32), *words]


def test_crafted_invoices_are_otherwise_good():
    assert decode(crafted("lnbcrt10n")) == decode(signed())
    assert decode(crafted("lnbcrt")).invoice.amount is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lnbc1",
        "hello",
        "lnbc" * 2_000,
        COFFEE[:-1] + "q",
        COFFEE[:50] + COFFEE[50:].upper(),
        crafted("lnbcrt10001p"),  # finer than a millisatoshi
        crafted("lnbcrt-1"),
        crafted("lnbcrt010n"),
        crafted("lnbcrt10x"),
        crafted("lnbcrt0n"),
        crafted("lntbx10n"),
        crafted("lnbcrt" + "9" * 40),
        crafted("lnbcrt10n", field("p", [1] * 52)),  # whose second hash some wallets would pay
        crafted("lnbcrt10n", field("x", [0])),
        crafted("lnbcrt10n", [1, 31, 31, 0]),  # a field that is cut off
    ],
)
def test_what_is_none(text):
    with pytest.raises(InvoiceError):
        decode(text)


@given(st.text(alphabet=CHARSET + "1 bBé", max_size=200))
def test_nonsense_is_refused_and_no_more(text):
    with pytest.raises(InvoiceError):
        decode("lnbcrt" + text)


@pytest.mark.parametrize(
    ("network", "amount", "now", "said"),
    [
        (Network.BITCOIN, 1_000, 0, "network"),
        (Network.REGTEST, 1_001, 0, "amount"),
        (Network.REGTEST, 1_000, 1_700_000_600, "expired"),
    ],
)
def test_what_is_not_the_invoice_that_it_should_be(network, amount, now, said):
    with pytest.raises(InvoiceError, match=said):
        checked(signed(), network, amount=amount, now=now)
