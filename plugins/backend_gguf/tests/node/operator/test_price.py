"""A node's price, from its command line to the offer that the server makes of it."""

import pytest
from attrs import evolve
from lightphon_backend_gguf.hub.translate import to_offer
from lightphon_backend_gguf.node.operator.price import parse_price
from lightphon_backend_gguf.protocol import codec
from lightphon_backend_gguf.protocol.messages import ModelFacts, OfferMessage, Offers

from lightphon_core import Node, Price

OFFER = OfferMessage(id="a", model=ModelFacts(id="m", capabilities=("chat",)), slots=1)


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("10", Price(per_minute=10_000)),
        ("minute=0.5", Price(per_minute=500)),
        (
            "prompt=50, completion=200,request=0.001,minute=1",
            Price(per_minute=1_000, per_mtok_prompt=50_000, per_mtok_completion=200_000, per_request=1),
        ),
        ("0", Price()),  # free on purpose, whatever the server's own price
    ],
)
def test_what_the_owner_asks_is_what_the_offer_costs(text, price):
    sent = codec.encode(Offers((evolve(OFFER, price=parse_price(text)),)))
    (received,) = codec.decode(sent).offers
    assert to_offer(Node("n", "n"), received).price == price


def test_without_a_price_the_server_sets_it():
    (received,) = codec.decode(codec.encode(Offers((OFFER,)))).offers
    assert to_offer(Node("n", "n"), received).price is None


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "0.0001", "nan", "inf", "minute", "minute=", "tokens=1", "1,2", "minute=1,1", "1e12", "1,,"],
)
def test_no_price(text):
    with pytest.raises(ValueError, match=r"."):
        parse_price(text)
