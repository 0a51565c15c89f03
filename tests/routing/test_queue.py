"""The queue for slots: turns between accounts, order within one, bounds."""

from collections import Counter, deque

from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.routing.queue import FairQueue, retry_after_s


def always():
    return True


def called(queue):
    ticket = queue.next()
    return ticket and ticket.account


def test_accounts_take_turns_however_much_one_of_them_asks():
    queue = FairQueue(length=10, per_account=5)
    greedy = [queue.join("greedy", always) for _ in range(4)]
    queue.join("modest", always)
    order = [queue.next() for _ in range(5)]
    assert [ticket.account for ticket in order] == ["greedy", "modest", "greedy", "greedy", "greedy"]
    assert [ticket for ticket in order if ticket.account == "greedy"] == greedy
    assert queue.next() is None
    assert len(queue) == 0


def test_whoever_cannot_use_the_slot_lets_others_pass_and_keeps_the_turn():
    queue, ready = FairQueue(length=10, per_account=5), set()
    for name in ("a", "b"):
        for model in ("x", "y"):
            queue.join(name, lambda model=model: model in ready)
    ready.add("y")
    assert [called(queue), called(queue), called(queue)] == ["a", "b", None]
    ready.add("x")
    assert [called(queue), called(queue)] == ["a", "b"]


def test_it_is_bounded_in_all_and_for_each_account():
    queue = FairQueue(length=3, per_account=2)
    assert queue.join("a", always)
    left = queue.join("a", always)
    assert queue.join("a", always) is None
    assert queue.join("b", always)
    assert queue.join("c", always) is None
    queue.leave(left)
    queue.leave(left)
    assert len(queue) == 2
    assert queue.join("c", always)


@given(st.lists(st.one_of(st.tuples(st.just("join"), st.sampled_from("abcd")), st.just("leave"), st.just("serve"))))
def test_nobody_starves_nobody_overtakes_and_the_bounds_hold(steps):
    """Against a model of the rule: lines by account; and between two turns of one account that waits all the while,
    each other has one at most."""
    queue = FairQueue(length=6, per_account=3)
    lines: dict[str, deque] = {}
    since: dict[str, Counter] = {}
    for step in steps:
        if step == "serve":
            ticket = queue.next()
            assert (ticket is None) == (not lines)
            if ticket is None:
                continue
            name = ticket.account
            assert lines[name].popleft() is ticket
            since.pop(name)
            if lines[name]:
                since[name] = Counter()
            else:
                del lines[name]
            for other, seen in since.items():
                if other != name:
                    seen[name] += 1
                    assert seen[name] == 1, f"{name} had two turns while {other} waited for one"
        elif step == "leave":
            if lines:
                name, line = next(iter(lines.items()))
                queue.leave(line.pop())
                if not line:
                    del lines[name], since[name]
        else:
            _, name = step
            waiting = sum(map(len, lines.values()))
            ticket = queue.join(name, always)
            assert (ticket is None) == (waiting >= 6 or len(lines.get(name, ())) >= 3)
            if ticket is not None:
                lines.setdefault(name, deque()).append(ticket)
                since.setdefault(name, Counter())
        assert len(queue) == sum(map(len, lines.values()))


def test_when_to_ask_again():
    known = {"unknown_s": 5.0, "longest_s": 60.0}
    assert retry_after_s(waiting=3, slots=2, service_s=None, **known) == 5.0
    assert retry_after_s(waiting=3, slots=2, service_s=6.0, **known) == 12.0
    assert retry_after_s(waiting=0, slots=100, service_s=6.0, **known) == 1.0
    assert retry_after_s(waiting=200, slots=1, service_s=6.0, **known) == 60.0
