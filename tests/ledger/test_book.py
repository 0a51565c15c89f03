"""The rules of the ledger against a model that is as simple as can be: any commands, in batches of any size."""

from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime

from attrs import define, evolve, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import delete, insert, select

from lightphon_core.ledger import chart
from lightphon_core.ledger.budgets import Period, budgets_of, set_budgets
from lightphon_core.ledger.chart import Origin
from lightphon_core.ledger.commands import (
    Capture,
    Count,
    ExtendHold,
    HoldLost,
    InsufficientFunds,
    LedgerError,
    OverBudget,
    Overdrawn,
    Post,
    Posted,
    Posting,
    ReapExpired,
    TakeHold,
    Taken,
)
from lightphon_core.ledger.usage import prune_usage, usage_of
from lightphon_core.storage.schema import accounts, balances, credentials, entries, holds

ORDER = ["granted", "card", "lightning", "earned"]
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@define
class ModelHold:
    account: str
    parts: Counter
    payee: str | None
    bps: int
    until: int
    key: str | None
    checkpoint: int = 0


@define
class ModelBudget:
    """`window` is what a calendar calls the day or month that `spent` is of."""

    amount: int
    spent: int
    window: str


def window(period, now):
    form = {"day": "%Y-%m-%d", "month": "%Y-%m", "total": ""}[period]
    return datetime.fromtimestamp(now // 1_000_000, UTC).strftime(form)


@define
class Model:
    """The books as a few dictionaries. Money is moved msat by msat, which is slow, and plain to see."""

    amounts: Counter = field(factory=Counter)
    held: Counter = field(factory=Counter)
    holds: dict = field(factory=dict)
    known: set = field(factory=set)
    charged: set = field(factory=set)
    budgets: dict = field(factory=dict)
    used: list = field(factory=list)

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
                    self.settle(name, self.holds[name].checkpoint, now)
                return len(expired)
            case Count():
                self.used.append((now, 0, command.usage))
                return 0
        if command.hold not in self.holds:
            return HoldLost
        if isinstance(command, Capture):
            charged = self.settle(command.hold, command.amount, now)
            if command.usage is not None:
                self.used.append((now, charged, command.usage))
            return charged
        hold = self.holds[command.hold]
        self.set_aside(hold, command.amount, now)
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
        if self.room(command.credential, now) < command.minimum:
            return OverBudget
        until = now + command.lease_us
        hold = ModelHold(command.account, Counter(), command.payee, command.house_bps, until, command.credential)
        self.holds[command.hold] = hold
        self.set_aside(hold, max(command.amount, command.minimum), now)
        return Taken(hold.parts.total(), min(self.free(command.account), self.room(command.credential, now)))

    def budgets_of(self, key, now):
        """Period, amount, spent and held of each budget, as they stand now."""
        found = self.budgets.get(key, {})
        for period, budget in found.items():
            if budget.window != window(period, now):
                budget.window, budget.spent = window(period, now), 0
        held = sum(hold.parts.total() for hold in self.holds.values() if hold.key == key)
        return [(period, found[period].amount, found[period].spent, held) for period in Period if period in found]

    def room(self, key, now):
        left = [amount - spent - held for _, amount, spent, held in self.budgets_of(key, now)]
        return max(0, min(left, default=10**9))

    def set_budgets(self, key, amounts, now):
        had = self.budgets.get(key, {})
        self.budgets_of(key, now)
        self.budgets[key] = {}
        for period, amount in amounts.items():
            spent = [
                cost
                for at, cost, usage in self.used
                if usage["credential_id"] == key and window(period, at) == window(period, now)
            ]
            before = had[period].spent if period in had else sum(spent)
            self.budgets[key][period] = ModelBudget(amount, before, window(period, now))

    def free(self, account):
        names = [f"wallet:{account}:{origin}" for origin in ORDER]
        return sum(self.amounts[name] - self.held[name] for name in names)

    def set_aside(self, hold, amount, now):
        for _ in range(min(amount, self.room(hold.key, now))):
            for origin in ORDER:
                name = f"wallet:{hold.account}:{origin}"
                if self.amounts[name] > self.held[name]:
                    self.held[name] += 1
                    hold.parts[origin] += 1
                    break

    def settle(self, name, amount, now):
        hold = self.holds.pop(name)
        paid = [origin for origin in ORDER for _ in range(hold.parts[origin])][:amount]
        self.budgets_of(hold.key, now)
        for budget in self.budgets.get(hold.key, {}).values():
            budget.spent += len(paid)
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
KEYS = st.sampled_from(["k1", "k1", "k2"])
USAGE = st.fixed_dictionaries({"credential_id": KEYS, "model": st.sampled_from(["m1", "m2"])})


@st.composite
def posts(draw):
    """A deposit, or with `back` its reversal; now and then under an id that was used before."""
    wallet = chart.wallet(draw(PEOPLE), draw(st.sampled_from(list(Origin))))
    pairs = [("clearing", wallet), (wallet, "clearing"), (wallet, chart.wallet(draw(PEOPLE), Origin.EARNED))]
    moves = draw(st.lists(st.tuples(st.sampled_from(pairs), st.integers(1, 100)), min_size=1, max_size=2))
    postings = tuple(Posting(debit, credit, amount) for (debit, credit), amount in moves if debit != credit)
    return Post(draw(st.sampled_from(["deposit", "reversal"])), "test", draw(st.sampled_from("pqrstuvw")), postings)


TAKEN = st.builds(
    TakeHold,
    HOLDS,
    PEOPLE,
    SMALL,
    st.integers(0, 12) | SMALL,
    st.none() | PEOPLE,
    st.sampled_from([0, 1, 2_500, 9_999, 10_000]),
    LEASES,
    credential=st.sampled_from(["k1", "k1", "k1", "k2", None]),
)
COMMANDS = st.one_of(
    posts().filter(lambda post: post.postings),
    TAKEN,
    TAKEN,
    st.builds(ExtendHold, HOLDS, SMALL, SMALL, LEASES),
    st.builds(Capture, HOLDS, SMALL, USAGE | st.none()),
    st.builds(Count, USAGE),
    st.just(ReapExpired()),
)


BATCHES = st.lists(COMMANDS, min_size=1, max_size=8)
LATER = st.sampled_from([0, 1, HOUR_US + 1, DAY_US, 20 * DAY_US])


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
        self.answers = 0
        self.keys = {f"{self.own}k1", f"{self.own}k2"}
        with self.books.database.transaction() as connection:
            connection.execute(insert(accounts).values(id=f"{self.own}acc", name=f"{self.own}acc", created_at=1))
            shown = {"account_id": f"{self.own}acc", "kind": "api_key", "name": "", "hint": "", "created_at": 1}
            connection.execute(insert(credentials), [{"id": key, "secret_hash": key, **shown} for key in self.keys])
        start = dict(zip(ORDER, (7, 11, 13, 29), strict=True))
        for who in "ab":
            postings = (Posting("clearing", f"wallet:{who}:{origin}", amount) for origin, amount in start.items())
            self.do(Post("start", "test", who, tuple(postings)))
        self.limit("k1", {Period.DAY: 30, Period.MONTH: 60})

    @rule(commands=BATCHES, later=LATER)
    def batch(self, commands, later):
        self.books.now += later
        self.do(*commands)

    @rule(commands=BATCHES, others=BATCHES, later=LATER)
    def two_batches(self, commands, others, later):
        self.batch(commands, 0)
        self.batch(others, later)

    @rule(key=KEYS, amounts=st.dictionaries(st.sampled_from(Period), st.integers(0, 60)))
    def limit(self, key, amounts):
        if (key := self.own + key) in self.keys:
            with self.books.database.transaction() as connection:
                set_budgets(connection, key, amounts, clock=self.books.clock)
            self.model.set_budgets(key, amounts, self.books.now)

    @rule(key=KEYS)
    def forget(self, key):
        """The key goes, as with its account, whatever is under way; its budgets go with it."""
        self.keys.discard(self.own + key)
        self.model.budgets.pop(self.own + key, None)
        with self.books.database.transaction() as connection:
            connection.execute(delete(credentials).where(credentials.c.id == self.own + key))

    @rule()
    def tidy_up(self):
        self.do(ReapExpired())
        with self.books.database.transaction() as connection:
            prune_usage(connection, before=self.books.now, limit=3)

    def do(self, *commands):
        # What earlier examples left expired is reaped along with this one's, so nothing is left by any: see `teardown`.
        mine = [self.named(command) for command in commands]
        for command, answer in zip(mine, self.books.do(*mine), strict=True):
            expected = self.model.answer(command, self.books.now)
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
                key = command.credential and own(command.credential)
                return evolve(
                    command, hold=own(command.hold), account=own(command.account), payee=payee, credential=key
                )
            case Capture():
                return evolve(command, hold=own(command.hold), usage=self.row(command.usage))
            case Count():
                return Count(self.row(command.usage))
            case ExtendHold():
                return evolve(command, hold=own(command.hold))
        return command

    def row(self, usage):
        """A whole row of usage, of this example's own account."""
        if usage is None:
            return None
        self.answers += 1
        counted = {"prompt_tokens": self.answers, "completion_tokens": 2, "ms": 3}
        names = {"id": f"{self.own}{self.answers}", "account_id": f"{self.own}acc", "node_id": "n"}
        return {**names, **counted, **usage, "credential_id": self.own + usage["credential_id"]}

    @invariant()
    def books_agree_with_the_model(self):
        with self.books.database.snapshot() as connection:
            stored = connection.execute(select(balances)).all()
            found = connection.execute(select(holds)).all()
            written = connection.scalars(select(entries.c.external_id).where(entries.c.kind == "charge")).all()
            budgets = budgets_of(connection, self.keys, clock=self.books.clock)
            by = frozenset({"day", "model", "key"})
            days = usage_of(connection, f"{self.own}acc", first=date(2027, 1, 1), last=date(2200, 1, 1), by=by)
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
        assert {key: [(b.period, b.amount, b.spent, b.held) for b in found] for key, found in budgets.items()} == {
            key: self.model.budgets_of(key, self.books.now) for key in self.keys
        }
        assert {(str(d.day), d.model, d.credential_id): self.summed(d) for d in days} == self.model_days()
        assert self.books.problems() == []

    def summed(self, of):
        return (of.requests, of.prompt_tokens, of.completion_tokens, of.ms, of.cost_msat)

    def model_days(self):
        days = {}
        for at, cost, row in self.model.used:
            group = (window("day", at), row["model"], row["credential_id"])
            more = (1, row["prompt_tokens"], row["completion_tokens"], row["ms"], cost)
            days[group] = tuple(map(sum, zip(days.get(group, (0,) * 5), more, strict=True)))
        return days

    def teardown(self):
        with suppress(AttributeError):  # it failed before it began
            self.do(*(Capture(name.removeprefix(self.own), 0) for name in list(self.model.holds)))


def test_any_commands_keep_the_books_right(books, database_kind):
    class Machine(BooksMachine):
        pass

    Machine.books = books
    limits = settings(
        max_examples=40 if database_kind == "sqlite" else 15,
        stateful_step_count=10,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=limits)
