"""Bounds on connections, and on what a node may send, alone."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightphon_backend_gguf.hub import gate
from lightphon_backend_gguf.hub.gate import Gate, block_of
from lightphon_backend_gguf.protocol import limits, tolls
from lightphon_backend_gguf.protocol.allowance import Allowance


def test_few_connections_of_one_address_wait_and_others_are_let_in():
    door = Gate(1)
    with ExitStack() as stack:
        for _ in range(gate.WAITING_PER_ADDRESS):
            assert stack.enter_context(door.waiting("192.0.2.1", 0))
        assert not stack.enter_context(door.waiting("192.0.2.1", 0))
        assert stack.enter_context(door.waiting("192.0.2.2", 0))
    with door.waiting("192.0.2.1", 0) as admitted:
        assert admitted, "those that have left no longer count"


def test_a_bounded_number_waits_in_all():
    door = Gate(1)
    with ExitStack() as stack:
        for number in range(gate.WAITING):
            assert stack.enter_context(door.waiting(f"10.0.{number >> 8}.{number & 255}", 0))
        assert not stack.enter_context(door.waiting("192.0.2.2", 0))


def test_an_address_that_tries_bad_tokens_has_to_pause():
    door = Gate(1)
    for _ in range(gate.BAD_TOKENS_PER_MINUTE):
        with door.waiting("192.0.2.1", 0) as admitted:
            assert admitted
        door.refused("192.0.2.1", 0)
    for client, now, expected in (("192.0.2.1", 1, False), ("192.0.2.2", 1, True), ("192.0.2.1", 3, True)):
        with door.waiting(client, now) as admitted:
            assert admitted is expected


def test_addresses_are_remembered_in_bounded_number(monkeypatch):
    monkeypatch.setattr(gate, "ADDRESSES", 3)
    door = Gate(1)
    for number in range(50):
        door.refused(f"192.0.2.{number}", 0)
    assert len(door._bad) == 3


def test_nodes_of_one_token_are_bounded_and_one_that_comes_back_counts_once():
    door = Gate(2)
    with door.connected("k", "a") as first, door.connected("k", "a") as again, door.connected("k", "b") as second:
        assert all((first, again, second))
        with door.connected("k", "c") as third, door.connected("other", "c") as other:
            assert not third
            assert other
    assert not door._connected


@pytest.mark.parametrize(
    ("client", "block"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        (None, ""),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_address(client, block):
    assert block_of(client) == block


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 30)), max_size=60))
def test_an_allowance_never_grants_more_than_its_burst_and_its_rate(steps):
    allowance, now, granted = Allowance(rate=3, burst=10), 0.0, 0.0
    for pause, cost in steps:
        now += pause
        had = allowance.has(cost, now)
        took = allowance.spend(cost, now)
        assert had == took
        granted += cost if took else 0
        assert granted <= 10 + 3 * now + 1e-6
    assert Allowance(rate=3, burst=10).spend(10, 0), "it is full at first"


def test_the_largest_message_is_affordable_many_times_over():
    assert 5 * tolls.text_toll("x" * limits.TEXT_CHARACTERS, offers=True) < tolls.BURST
    assert 3 * tolls.text_toll("x" * 4096, offers=False) * 50 < tolls.RATE
