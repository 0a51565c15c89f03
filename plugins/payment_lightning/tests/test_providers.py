"""The core's two providers over a wallet: what of the wallet is believed, and what may be paid."""

import hashlib
import json

import bolt11
import pytest
from bech32 import bech32_encode, convertbits
from lightphon_payment_lightning import invoices
from lightphon_payment_lightning.chosen import Chosen
from lightphon_payment_lightning.deposits import LightningDeposits
from lightphon_payment_lightning.network import Network
from lightphon_payment_lightning.payouts import LightningPayouts
from lightphon_payment_lightning.settings import LightningSettings
from lightphon_payment_lightning.wallets.demo import Demo, DemoSettings

from lightphon_core import Address, InvalidRequest, NewDeposit, ProviderUnavailable
from lightphon_core.testing import host_for

METADATA = '[["text/plain", "Alice"]]'
NOW = 1_700_000_000


class Clock:
    def now(self):
        return float(NOW)

    def monotonic(self):
        return 0.0


def signed(amount=5_000, network=Network.REGTEST, memo="", description_hash=None, created_at=NOW):
    given = {"payment_hash": "01" * 32, "payment_secret": "11" * 32, "created_at": created_at, "expires_in_s": 60}
    text = invoices.sign(network, amount=amount, memo=memo, private_key="e1" * 32, **given)
    if description_hash is None:
        return text
    invoice = bolt11.decode(text)
    invoice.tags.tags = [tag for tag in invoice.tags if tag.char is not bolt11.TagChar.description]
    invoice.tags.add(bolt11.TagChar.description_hash, description_hash)
    return bolt11.encode(invoice, "e1" * 32)


def described(amount=5_000, metadata=METADATA, **more):
    return signed(amount, description_hash=hashlib.sha256(metadata.encode()).hexdigest(), **more)


@pytest.fixture
def host():
    return host_for(LightningSettings(), clock=Clock())


@pytest.fixture
def payouts(host):
    return LightningPayouts(Chosen(Demo(DemoSettings(), host), Network.REGTEST), host)


class Scripted(Demo):
    """A wallet whose invoices a test writes."""

    text = ""

    async def invoice(self, deposit):
        return self.text


@pytest.mark.parametrize(
    "text",
    [
        signed(network=Network.BITCOIN),
        signed(network=Network.SIGNET),
        signed(4_999),
        signed(5_001),
        signed(created_at=NOW - 60),
        signed()[:-1],
        "",
    ],
)
async def test_invoices_that_nobody_is_shown(host, text):
    wallet = Scripted(DemoSettings(), host)
    deposits = LightningDeposits(Chosen(wallet, Network.REGTEST), host)
    wallet.text = text
    with pytest.raises(ProviderUnavailable, match="operator"):
        await deposits.open(NewDeposit("dep_1", 5_000, "memo", 60))
    wallet.text = signed().upper()
    opened = await deposits.open(NewDeposit("dep_1", 5_000, "memo", 60))
    assert (opened.ref, opened.expires_at, opened.pay) == ("01" * 32, NOW + 60, {"invoice": signed()})


def test_what_somebody_typed(payouts):
    text = signed()
    for typed in (text, text.upper(), f" lightning:{text}\n", f"LIGHTNING:{text.upper()}"):
        assert payouts.read(typed) == invoices.decode(text).invoice
    assert payouts.read("Alice@Example.com") == Address("alice@example.com")
    lnurl = bech32_encode("lnurl", convertbits(b"https://example.com/x", 8, 5))
    assert payouts.read(f"lightning:{lnurl.upper()}") == Address(lnurl)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (signed(network=Network.BITCOIN), "network bitcoin; this server pays on regtest"),
        (signed()[:-1] + "q", "misspelt"),
        ("alice@localhost:x", "name@example.com"),
        ("alice@10.0.0.1", "name of a host"),
        ("", "not a Lightning invoice"),
        ("lnbcrt" + "q" * 5_000, "too long"),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "not a Lightning invoice"),
    ],
)
def test_what_cannot_be_paid(payouts, typed, said):
    with pytest.raises(InvalidRequest, match=said) as refused:
        payouts.read(typed)
    assert refused.value.param == "destination"


def offering(server, pr, **changed):
    """Answers of a server of Lightning addresses."""
    offer = {
        "tag": "payRequest",
        "callback": f"https://pay.example:{server.port}/pay?id=7",
        "minSendable": 1_000,
        "maxSendable": 10_000,
        "metadata": METADATA,
        **changed,
    }

    def answer(writer, path):
        body = json.dumps(offer if path.startswith("/.well-known") else {"pr": pr, "routes": []}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return answer


@pytest.fixture
def resolve(host, address_server):
    """What comes of an address for 5 sats, whose server answers with this invoice."""
    chosen = Chosen(Demo(DemoSettings(), host), Network.REGTEST)

    async def resolve(pr, *, amount=5_000, **changed):
        address_server.script = offering(address_server, pr, **changed)
        payouts = LightningPayouts(chosen, host, address_server.client())
        return await payouts.resolve(payouts.read(f"alice@pay.example:{address_server.port}"), amount)

    return resolve


async def test_an_address_is_asked_for_an_invoice(resolve, address_server):
    found = await resolve(described())
    assert (found.ref, found.amount, found.text) == ("01" * 32, 5_000, described())
    asked = [head.split(" ")[1] for head in address_server.requests]
    assert asked == ["/.well-known/lnurlp/alice", "/pay?id=7&amount=5000"]


@pytest.mark.parametrize(
    ("pr", "changed", "said"),
    [
        (described(6_000), {}, "another amount"),
        (described(4_999), {}, "another amount"),
        (described(network=Network.BITCOIN), {}, "network"),
        (described(created_at=NOW - 60), {}, "expired"),
        (described(metadata="[]"), {}, "something else"),
        (signed(memo=METADATA), {}, "something else"),
        ("lnbcrt1", {}, "not a Lightning invoice"),
        (None, {}, "gave no invoice"),
        (described(), {"amount": 10_001}, "1000 to 10000 msat"),
        (described(), {"callback": "http://pay.example/pay"}, "https://"),
        (described(), {"callback": "https://127.0.0.1/pay"}, "name of a host"),
    ],
)
async def test_what_an_address_must_not_answer(resolve, pr, changed, said):
    with pytest.raises(InvalidRequest, match=said) as refused:
        await resolve(pr, **changed)
    assert refused.value.param == "destination"


async def test_a_callback_is_guarded_as_the_address_is(resolve, address_server):
    """The name leads to a public address when it is looked at, and into the private network a moment later."""
    address_server.addresses += [["127.0.0.1"], ["169.254.169.254"]]
    with pytest.raises(InvalidRequest, match=r"pay\.example is no public host"):
        await resolve(described())
    assert len(address_server.requests) == 1
