"""Who is remembered to have answered a conversation, for how long, and under what name."""

from hypothesis import given
from hypothesis import strategies as st

from lightphon_core.routing.sessions import Sessions, digest

SECRET = b"s" * 32
ONE, OTHER = ("gguf", "n1/m"), ("gguf", "n2/m")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_last_to_answer_holds_it_until_it_expires():
    clock = Clock()
    sessions = Sessions(SECRET, clock, ttl_s=60)
    assert sessions.holder("s") is None
    sessions.answered("s", ONE)
    sessions.answered("s", OTHER)
    clock.now += 59
    assert sessions.holder("s") == OTHER
    sessions.answered("s", ONE)  # goes on from here
    clock.now += 59
    assert sessions.holder("s") == ONE
    clock.now += 1
    assert sessions.holder("s") is None


def test_memory_is_bounded_and_the_least_recently_answered_goes_first():
    clock = Clock()
    sessions = Sessions(SECRET, clock, capacity=3)
    for name in ("a", "b", "c", "a", "d"):
        clock.now += 1
        sessions.answered(name, ONE)
    assert {name: sessions.holder(name) for name in "abcd"} == {"a": ONE, "b": None, "c": ONE, "d": ONE}


def test_what_has_expired_is_forgotten_as_others_come():
    clock = Clock()
    sessions = Sessions(SECRET, clock, ttl_s=60)
    for number in range(100):
        sessions.answered(f"old {number}", ONE)
    clock.now += 60
    for number in range(100):
        sessions.answered(f"new {number}", ONE)
    assert len(sessions._holders) == 100


@given(st.lists(st.tuples(st.text("ab", max_size=4), st.binary(max_size=4)), min_size=2, max_size=6, unique=True))
def test_no_two_conversations_have_one_name(conversations):
    assert len({digest(SECRET, account, material) for account, material in conversations}) == len(conversations)


def test_a_name_tells_nothing_to_whoever_lacks_the_secret():
    name = digest(SECRET, "acct_1", b"my prompt")
    assert name != digest(b"t" * 32, "acct_1", b"my prompt")
    assert digest(SECRET, "ab", b"c") != digest(SECRET, "a", b"bc")
    assert "prompt" not in name
    assert len(name) == 32
