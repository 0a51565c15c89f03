"""Who has a network of addresses is one client all the same."""

import asyncio

import pytest

from lightphon_core.accounts.addresses import counted_as
from lightphon_core.accounts.lookups import WAITING_LIMIT_PER_ADDRESS, SecretLookups
from lightphon_core.errors import RateLimited, Unauthenticated


@pytest.mark.parametrize(
    ("client", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("testclient", "testclient"),
        (None, None),
    ],
)
def test_what_counts_as_one(client, counted):
    assert counted_as(client) == counted


async def test_a_network_of_addresses_takes_no_more_turns_than_one(database):
    def judge(_):
        raise Unauthenticated("unknown")

    lookups = SecretLookups(database)
    many = WAITING_LIMIT_PER_ADDRESS + 3
    asking = [lookups.principal(f"bad {n}", lambda _: None, judge, client=f"2001:db8::{n:x}") for n in range(many)]
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in answers].count(RateLimited) == 3
