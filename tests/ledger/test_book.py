"""The rules of the ledger against a model that is as simple as can be: any commands, in batches of any size."""

from collections import Counter
from contextlib import suppress

from attrs import define, evolve, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from lightphon_core.ledger import chart
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import (
    Capture,
    ExtendHold,
    HoldLost,
    InsufficientFunds,
    LedgerError,
    Overdrawn,
    Post,
    Posted,
    Posting,
    ReapExpired,
    TakeHold,
    Taken,
)
from lightphon_core.storage.schema import balances, entries, holds

ORDER = ["granted", "card", "lightning", "earned"]
HOUR_US = 3_600_000_000


@define
class ModelHold:
    account: str
    parts: Counter
    payee: str | None
    bps: int
    until: int
    checkpoint: int = 0


@define
class Model:
    """The books as a few dictionaries. Money is moved msat by msat, which is slow, and plain to see."""

    amounts: Counter = field(factory=Counter)
    held: Counter = field(factory=Counter)
    holds: dict = field(factory=dict)
    known: set = field(factory=set)
    charged: set = field(factory=set)

    def answer(self, command, now):
        """What the command is answered with: a value, or the class of an error."""
        match command:
            case Post():
                return self.post(command)
            case TakeHold():
                return self.take(command, now)
            case ReapExpired():
                expired = [name for name, hold in self.holds.items() if hold.until < now]
                for name in expired:
                    self.settle(name, self.holds[name].checkpoint)
                return len(expired)
        if command.hold not in self.holds:
            return HoldLost
        if isinstance(command, Capture):
            return self.settle(command.hold, command.amount)
        hold = self.holds[command.hold]
        self.set_aside(hold, command.amount)
        hold.checkpoint = max(hold.checkpoint, min(command.checkpoint, hold.parts.total()))
        hold.until = now + command.lease_us
        return hold.parts.total()

    def post(self, command):
        key = (command.kind, command.source, command.external_id)
        if key in self.known:
            return False
        after = self.amounts.copy()
        for posting in command.postings:
            after[posting.debit] -= posting.amount
            after[posting.credit] += posting.amount
        for name in after:
            if name.startswith(("wallet:", "earnings:")) and after[name] < self.held[name]:
                return Overdrawn
        self.amounts = after
        self.known.add(key)
        return True

    def take(self, command, now):
        if command.hold in self.holds or command.hold in self.charged:
            return LedgerError
        free = self.free(command.account)
        if free < command.minimum:
            return InsufficientFunds
        hold = ModelHold(command.account, Counter(), command.payee, command.house_bps, now + command.lease_us)
        self.set_aside(hold, max(command.amount, command.minimum))
        self.holds[command.hold] = hold
        return Taken(hold.parts.total(), self.free(command.account))

    def free(self, account):
        names = [f"wallet:{account}:{origin}" for origin in ORDER]
        return sum(self.amounts[name] - self.held[name] for name in names)

    def set_aside(self, hold, amount):
        for _ in range(amount):
            for origin in ORDER:
                name = f"wallet:{hold.account}:{origin}"
                if self.amounts[name] > self.held[name]:
                    self.held[name] += 1
                    hold.parts[origin] += 1
                    break

    def settle(self, name, amount):
        hold = self.holds.pop(name)
        paid = [origin for origin in ORDER for _ in range(hold.parts[origin])][:amount]
        for number, origin in enumerate(paid, start=1):
            # The house gets each msat that makes its share of the charge so far a whole one.
            to_house = number * hold.bps // 10_000 > (number - 1) * hold.bps // 10_000
            self.amounts[f"wallet:{hold.account}:{origin}"] -= 1
            earner = "house" if hold.payee is None or to_house else f"earnings:{hold.payee}:{origin}"
            self.amounts[earner] += 1
        for origin in ORDER:
            self.held[f"wallet:{hold.account}:{origin}"] -= hold.parts[origin]
        if paid:
            self.charged.add(name)
        return len(paid)


SMALL = st.integers(0, 60)
PEOPLE = st.sampled_from(["a", "b"])
HOLDS = st.sampled_from(["h1", "h2", "h3", "h4"])
LEASES = st.sampled_from([0, HOUR_US])


@st.composite
def posts(draw):
    """A deposit, or with `back` its reversal; now and then under an id that was used before."""
    wallet = chart.wallet(draw(PEOPLE), draw(st.sampled_from(list(Origin))))
    pairs = [("clearing", wallet), (wallet, "clearing"), (wallet, chart.wallet(draw(PEOPLE), Origin.EARNED))]
    moves = draw(st.lists(st.tuples(st.sampled_from(pairs), st.integers(1, 100)), min_size=1, max_size=2))
    postings = tuple(Posting(debit, credit, amount) for (debit, credit), amount in moves if debit != credit)
    return Post(draw(st.sampled_from(["deposit", "reversal"])), "test", draw(st.sampled_from("pqrstuvw")), postings)


COMMANDS = st.one_of(
    posts().filter(lambda post: post.postings),
    st.builds(
        TakeHold, HOLDS, PEOPLE, SMALL, SMALL, st.none() | PEOPLE, st.sampled_from([0, 1, 2_500, 9_999, 10_000]), LEASES
    ),
    st.builds(ExtendHold, HOLDS, SMALL, SMALL, LEASES),
    st.builds(Capture, HOLDS, SMALL),
    st.just(ReapExpired()),
)


class BooksMachine(RuleBasedStateMachine):
    """Each example has people, holds and ids of its own in the same database; only the house is everybody's."""

    books = None
    examples = 0

    @initialize()
    def begin(self):
        type(self).examples += 1
        self.own = f"x{self.examples}_"
        self.model = Model()
        self.model.amounts["house"] = self.books.balances().get("house", 0)
        start = dict(zip(ORDER, (7, 11, 13, 29), strict=True))
        for who in "ab":
            postings = (Posting("clearing", f"wallet:{who}:{origin}", amount) for origin, amount in start.items())
            self.do(Post("start", "test", who, tuple(postings)))

    @rule(commands=st.lists(COMMANDS, min_size=1, max_size=8))
    def batch(self, commands):
        self.do(*commands)

    @rule(later=st.sampled_from([1, HOUR_US + 1]))
    def wait(self, later):
        self.books.now += later

    @rule()
    def end_what_expired(self):
        self.do(ReapExpired())

    def do(self, *commands):
        # What earlier examples left expired is reaped along with this one's, so nothing is left by any: see `teardown`.
        for command, answer in zip(commands, self.books.do(*map(self.named, commands)), strict=True):
            expected = self.model.answer(self.named(command), self.books.now)
            match answer:
                case Exception():
                    assert type(answer) is expected, command
                case Posted():
                    assert answer.new is expected
                case _:
                    assert answer == expected, command

    def named(self, command):
        """The same command on this example's own accounts, holds and ids."""

        def own(name):
            first, colon, rest = name.partition(":")
            if name == "house":
                return name
            return f"{first}:{self.own}{rest}" if colon else f"{self.own}{name}"

        match command:
            case Post():
                postings = tuple(Posting(own(p.debit), own(p.credit), p.amount) for p in command.postings)
                return evolve(command, external_id=own(command.external_id), postings=postings)
            case TakeHold():
                payee = command.payee and own(command.payee)
                return evolve(command, hold=own(command.hold), account=own(command.account), payee=payee)
            case ExtendHold() | Capture():
                return evolve(command, hold=own(command.hold))
        return command

    @invariant()
    def books_agree_with_the_model(self):
        with self.books.database.snapshot() as connection:
            stored = connection.execute(select(balances)).all()
            found = connection.execute(select(holds)).all()
            written = connection.scalars(select(entries.c.external_id).where(entries.c.kind == "charge")).all()
        assert sum(row.amount for row in stored) == 0
        assert all(0 <= row.held <= row.amount for row in stored if row.account.startswith(("wallet:", "earnings:")))
        mine = [row for row in stored if row.account == "house" or self.own in row.account]
        assert {row.account: row.amount for row in mine if row.amount} == {
            name: amount for name, amount in self.model.amounts.items() if amount
        }
        assert {row.account: row.held for row in mine if row.held} == dict(+self.model.held)
        assert {
            row.id: (row.account_id, +Counter({o: getattr(row, o) for o in ORDER}), row.checkpoint, row.lease_until)
            for row in found
        } == {name: (hold.account, +hold.parts, hold.checkpoint, hold.until) for name, hold in self.model.holds.items()}
        assert {name for name in written if name.startswith(self.own)} == self.model.charged
        assert len(written) == len(set(written))
        assert self.books.problems() == []

    def teardown(self):
        with suppress(AttributeError):  # it failed before it began
            self.do(*(Capture(name.removeprefix(self.own), 0) for name in list(self.model.holds)))


def test_any_commands_keep_the_books_right(books, database_kind):
    class Machine(BooksMachine):
        pass

    Machine.books = books
    limits = settings(
        max_examples=50 if database_kind == "sqlite" else 20,
        stateful_step_count=12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=limits)
