"""The rules of the ledger, carried out in memory: a page of the books is loaded, commands change it, and what changed
is written back in one transaction. No I/O here."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, field

from lightphon_core.ledger import chart
from lightphon_core.ledger.allowance import Allowance, capped, require
from lightphon_core.ledger.chart import SPENDING_ORDER, Origin
from lightphon_core.ledger.commands import (
    Capture,
    Command,
    Count,
    ExtendHold,
    HoldLost,
    Indebted,
    InsufficientFunds,
    LedgerError,
    NoSuchAccount,
    Overdrawn,
    Post,
    Posted,
    Posting,
    ReapExpired,
    TakeHold,
    Taken,
)
from lightphon_core.ledger.pricing import house_share
from lightphon_core.ledger.records import Balance, Entry, EntryKey, Hold
from lightphon_core.money import MAX_MSAT

CHARGE = "charge"
GATEWAY = "gateway"


@define
class Page:
    """The part of the books that a batch of commands touches, and what the commands did to it.

    `now` is the database's clock in microseconds. `allowances` are by credential; most have none. `people` are the
    users who are there, of those who must be. Everything that a command may need must have been loaded: see `scope.py`.
    """

    now: int
    balances: dict[str, Balance]
    holds: dict[str, Hold]
    entries: dict[EntryKey, str]
    allowances: dict[str | None, list[Allowance]]
    people: set[str]
    new_entries: list[Entry] = field(factory=list)
    new_holds: dict[str, Hold] = field(factory=dict)
    changed_holds: dict[str, Hold] = field(factory=dict)
    ended_holds: list[str] = field(factory=list)
    touched: set[str] = field(factory=set)
    usage: list[dict[str, Any]] = field(factory=list)

    def carry_out(self, command: Command) -> Any:
        """Do what `command` says; returns its answer. Raises `LedgerError`, and then has changed nothing."""
        return _RULES[type(command)](self, command)

    def balance(self, account: str) -> Balance:
        """The balance of an account; 0 for one that was never used."""
        found = self.balances.get(account)
        if found is None:
            found = self.balances[account] = Balance()
        return found

    def owed(self, account: str) -> int:
        """What the user of this id owes."""
        return max(0, -self.balance(chart.receivable(account)).amount)

    def write(self, key: EntryKey, postings: tuple[Posting, ...], note: str) -> str:
        """Add an entry whose postings were checked."""
        for posting in postings:
            self.balance(posting.debit).amount -= posting.amount
            self.balance(posting.credit).amount += posting.amount
            self.touched.add(posting.debit)
            self.touched.add(posting.credit)
        # Ids follow the order of writing, as far as the clock can tell.
        entry = Entry(f"ent_{self.now:014x}{len(self.new_entries):04x}{secrets.token_hex(4)}", key, postings, note)
        self.new_entries.append(entry)
        self.entries[key] = entry.id
        return entry.id


def _post(page: Page, command: Post) -> Posted:
    key = (command.kind, command.source, command.external_id)
    known = page.entries.get(key)
    if known is not None:
        return Posted(known, new=False)
    _require(page, command.whose)
    if not command.postings:
        raise LedgerError("An entry has at least one posting.")
    for name, change in _changes(page, command.postings):
        balance = page.balance(name)
        if change < 0 and balance.amount + change < balance.held and not chart.may_be_negative(name):
            raise Overdrawn(f"The account {name} has {balance.amount - balance.held} msat, not {-change}.")
    return Posted(page.write(key, command.postings, command.note), new=True)


def _take(page: Page, command: TakeHold) -> Taken:
    if command.hold in page.holds:
        raise LedgerError(f"The hold {command.hold} is there already.")
    if (CHARGE, GATEWAY, command.hold) in page.entries:
        raise LedgerError(f"The hold {command.hold} was charged already.")
    _require(page, command.payee)
    if owed := page.owed(command.account):
        raise Indebted(owed)
    balances = [page.balance(name) for name in chart.wallets(command.account)]
    available = sum(balance.amount - balance.held for balance in balances)
    if available < command.minimum:
        held = sum(balance.held for balance in balances)
        raise InsufficientFunds(needed=command.minimum, available=available, held=held)
    allowances = page.allowances.get(command.credential, ())
    require(allowances, command.minimum, page.now)
    hold = Hold(
        command.hold,
        command.account,
        [0] * len(SPENDING_ORDER),
        command.payee,
        command.house_bps,
        page.now + command.lease_us,
        page.now,
        note=command.note,
        credential=command.credential,
    )
    _set_aside(page, hold, max(command.amount, command.minimum))
    page.holds[hold.id] = page.new_holds[hold.id] = hold
    return Taken(hold.amount, capped(allowances, available - hold.amount))


def _extend(page: Page, command: ExtendHold) -> int:
    hold = _held(page, command.hold)
    if command.amount and not page.owed(hold.account):
        _set_aside(page, hold, command.amount)
    hold.checkpoint = max(hold.checkpoint, min(command.checkpoint, hold.amount))
    hold.lease_until = page.now + command.lease_us
    if hold.id not in page.new_holds:
        page.changed_holds[hold.id] = hold
    return hold.amount


def _capture(page: Page, command: Capture) -> int:
    hold = _held(page, command.hold)
    charged = _settle(page, hold, command.amount)
    if command.usage is not None:
        _note(page, command.usage, charged, _earned(hold, charged))
    return charged


def _count(page: Page, command: Count) -> int:
    _note(page, command.usage, 0, 0)
    return 0


def _reap(page: Page, _: ReapExpired) -> int:
    expired = [hold for hold in page.holds.values() if hold.lease_until < page.now]
    reaped = 0
    for hold in expired:
        # One that cannot be settled must not keep the others from it.
        with contextlib.suppress(LedgerError):
            charged = _settle(page, hold, hold.checkpoint)
            reaped += 1
            if charged and hold.credential is not None:
                # A budget that the key is given later begins with the sums of these.
                _note(page, hold.usage(), charged, _earned(hold, charged))
    return reaped


def _note(page: Page, usage: Mapping[str, Any], charged: int, earned: int) -> None:
    """Keep a row of usage. Whose node it was is known of most."""
    page.usage.append({"owner_id": None, **usage, "cost_msat": charged, "earned_msat": earned, "at": page.now})


def _earned(hold: Hold, charged: int) -> int:
    """What the payee of the hold gets of the charge."""
    return 0 if hold.payee is None else charged - house_share(charged, hold.house_bps)


def _require(page: Page, user: str | None) -> None:
    if user is not None and user not in page.people:
        raise NoSuchAccount


def _held(page: Page, name: str) -> Hold:
    hold = page.holds.get(name)
    if hold is None:
        raise HoldLost(f"There is no hold {name} any more.")
    return hold


def _set_aside(page: Page, hold: Hold, amount: int) -> None:
    """Put up to `amount` of what is available into the hold, by origin in the order of spending."""
    allowances = page.allowances.get(hold.credential, ())
    before, amount = hold.amount, capped(allowances, amount)
    for place, name in enumerate(chart.wallets(hold.account)):
        balance = page.balance(name)
        part = min(amount, balance.amount - balance.held)
        if part > 0:
            balance.held += part
            hold.parts[place] += part
            amount -= part
            page.touched.add(name)
    for allowance in allowances:
        allowance.set_aside(hold.amount - before)


def _settle(page: Page, hold: Hold, amount: int) -> int:
    """Charge `amount`, at most what is held, and end the hold."""
    charged = min(amount, hold.amount)
    postings = tuple(_charge(hold, charged))
    _changes(page, postings)  # raises while nothing has been changed
    for name, part in zip(chart.wallets(hold.account), hold.parts, strict=True):
        if part:
            page.balance(name).held -= part
            page.touched.add(name)
    for allowance in page.allowances.get(hold.credential, ()):
        allowance.settle(hold.amount, charged)
    if postings:
        page.write((CHARGE, GATEWAY, hold.id), postings, hold.note)
    del page.holds[hold.id]
    page.changed_holds.pop(hold.id, None)
    if page.new_holds.pop(hold.id, None) is None:
        page.ended_holds.append(hold.id)
    return charged


def _changes(page: Page, postings: Iterable[Posting]) -> Iterable[tuple[str, int]]:
    """By how much the postings change each account. Raises `LedgerError` where one would leave its bounds."""
    changes: dict[str, int] = {}
    for posting in postings:
        changes[posting.debit] = changes.get(posting.debit, 0) - posting.amount
        changes[posting.credit] = changes.get(posting.credit, 0) + posting.amount
    for name, change in changes.items():
        if abs(page.balance(name).amount + change) > MAX_MSAT:
            raise LedgerError(f"The account {name} would hold more money than there is.")
    return changes.items()


def _charge(hold: Hold, charged: int) -> Iterable[Posting]:
    """The postings of a charge: from the parts of the hold in their order, to the payee and the house."""
    spent = 0
    for origin, name, part in zip(SPENDING_ORDER, chart.wallets(hold.account), hold.parts, strict=True):
        if not (used := min(part, charged - spent)):
            continue
        yield from _shares(hold, origin, name, spent, used)
        spent += used


def _shares(hold: Hold, origin: Origin, name: str, before: int, used: int) -> Iterable[Posting]:
    """Who gets the `used` msat of one origin, after `before` of the charge were shared out already.

    The house's part is what its share of the running total grows by, so that the parts add up.
    """
    house = used
    if hold.payee is not None:
        house = house_share(before + used, hold.house_bps) - house_share(before, hold.house_bps)
        if used > house:
            yield Posting(name, chart.earnings(hold.payee, origin), used - house)
    if house:
        yield Posting(name, chart.HOUSE, house)


_RULES: dict[type, Callable[[Page, Any], Any]] = {
    Post: _post,
    TakeHold: _take,
    ExtendHold: _extend,
    Capture: _capture,
    Count: _count,
    ReapExpired: _reap,
}
