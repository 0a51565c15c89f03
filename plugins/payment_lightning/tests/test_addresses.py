"""Lightning addresses and LNURLs: where they lead, and what their servers may answer."""

import hashlib

import pytest
from bech32 import bech32_encode, convertbits
from lightphon_payment_lightning.addresses import (
    AddressError,
    Target,
    invoice_text_of,
    offer_of,
    pay_target,
    url_of,
)

HOST = Target("example.com", 443, "/")
OFFER = {
    "tag": "payRequest",
    "callback": "https://example.com/pay?who=alice",
    "minSendable": 1_000,
    "maxSendable": 50_000,
    "metadata": '[["text/plain", "Alice"]]',
}


def lnurl(url):
    return bech32_encode("lnurl", convertbits(url.encode(), 8, 5))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("alice@example.com", Target("example.com", 443, "/.well-known/lnurlp/alice")),
        ("Alice+Tips@Example.COM", Target("example.com", 443, "/.well-known/lnurlp/alice+tips")),
        ("a_b-c.d@pay.example.com:8443", Target("pay.example.com", 8443, "/.well-known/lnurlp/a_b-c.d")),
        (lnurl("https://example.com/lnurlp?id=7").upper(), Target("example.com", 443, "/lnurlp?id=7")),
    ],
)
def test_where_an_address_leads(text, target):
    assert url_of(text) == target


@pytest.mark.parametrize(
    "text",
    [
        *("alice", "alice@", "@example.com", "a b@example.com", "alice@example.com/x", "alice@exa mple.com"),
        *("alice@bob@example.com", "alice/..@example.com", "älice@example.com", "alice@examplé.com", "a@b@127.0.0.1"),
        *("alice@127.0.0.1", "alice@127.1", "alice@2130706433", "alice@0x7f000001", "alice@[::1]", "alice@a..b"),
        *("alice@hidden.onion", "alice@example.com:99999", "alice@-a.com", "lnurl1qqqq"),
        lnurl("http://example.com/"),
        lnurl("https://me:secret@example.com/"),
        lnurl("https://127.0.0.1/"),
        lnurl("https://[::1]/"),
        lnurl("https://example.com\\@10.0.0.1/"),
        lnurl("https://example.com/ x\r\nHost: other"),
        lnurl("file:///etc/passwd"),
    ],
)
def test_what_is_no_address(text):
    with pytest.raises(AddressError) as refused:
        url_of(text)
    assert "127.0.0.1" not in refused.value.message


def test_the_way_to_an_invoice():
    offer = offer_of(OFFER, HOST)
    assert offer.description_hash == hashlib.sha256(b'[["text/plain", "Alice"]]').hexdigest()
    assert pay_target(offer, 1_000) == Target("example.com", 443, "/pay?who=alice&amount=1000")
    bare = offer_of({**OFFER, "callback": "https://other.example:444/pay#x"}, HOST)
    assert pay_target(bare, 50_000) == Target("other.example", 444, "/pay?amount=50000")
    assert invoice_text_of({"pr": "lnbc1", "routes": []}, HOST) == "lnbc1"
    for amount in (0, 999, 50_001):
        with pytest.raises(AddressError, match="1000 to 50000 msat"):
            pay_target(offer, amount)


@pytest.mark.parametrize(
    "changed",
    [
        {"tag": "withdrawRequest"},
        {"status": "ERROR", "reason": "<b>call 127.0.0.1</b>"},
        {"callback": "http://example.com/pay"},
        {"callback": "https://169.254.169.254/latest"},
        {"callback": None},
        {"metadata": [["text/plain", "Alice"]]},
        {"minSendable": "1000"},
        {"minSendable": True},
        {"minSendable": 1.5},
        {"minSendable": 0},
        {"maxSendable": 999},
    ],
)
def test_what_is_no_offer(changed):
    with pytest.raises(AddressError) as refused:
        offer_of({**OFFER, **changed}, HOST)
    assert "127.0.0.1" not in refused.value.message


@pytest.mark.parametrize("answer", [{}, {"pr": 7}, {"status": "error", "pr": "lnbc1"}])
def test_what_is_no_invoice(answer):
    with pytest.raises(AddressError, match=r"example\.com"):
        invoice_text_of(answer, HOST)
