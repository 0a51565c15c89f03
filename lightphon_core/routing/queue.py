"""Who is next when a slot comes free. Pure.

Accounts take turns, however many requests each of them has waiting. Within an account it is first come, first served,
among those that the slot is good for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import define


@define(eq=False)
class Ticket:
    """A place in the queue. `ready()` says whether what is free now is good for whoever holds it."""

    account: str
    ready: Callable[[], bool]


class FairQueue:
    """At most `length` tickets, and `per_account` of one account."""

    def __init__(self, *, length: int, per_account: int) -> None:
        self._most = length
        self._per_account = per_account
        self._length = 0
        # In the order of their turns; none of the lists is empty.
        self._accounts: dict[str, deque[Ticket]] = {}

    def __len__(self) -> int:
        return self._length

    def join(self, account: str, ready: Callable[[], bool]) -> Ticket | None:
        """The last place of the account's own line; None where there is no room. An account that had nobody waiting is
        the last to have its turn."""
        waiting = len(self._accounts.get(account, ()))
        if self._length >= self._most or waiting >= self._per_account:
            return None
        ticket = Ticket(account, ready)
        self._accounts.setdefault(account, deque()).append(ticket)
        self._length += 1
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give the place up. Does nothing to a ticket that was called already."""
        line = self._accounts.get(ticket.account)
        if line is not None and ticket in line:
            self._remove(line, ticket)

    def next(self) -> Ticket | None:
        """Call the next ticket that is ready, and have its account wait for its next turn; None if none is."""
        for account, line in self._accounts.items():
            for ticket in line:
                if ticket.ready():
                    self._remove(line, ticket)
                    if line:
                        self._accounts[account] = self._accounts.pop(account)
                    return ticket
        return None

    def _remove(self, line: deque[Ticket], ticket: Ticket) -> None:
        line.remove(ticket)
        self._length -= 1
        if not line:
            del self._accounts[ticket.account]


def retry_after_s(*, waiting: int, slots: int, service_s: float | None, unknown_s: float, longest_s: float) -> float:
    """When whoever asks now may hope for a slot: after those who wait, with so many slots that answer in `service_s` on
    average. `unknown_s` where nothing was measured; between 1 and `longest_s`."""
    if service_s is None:
        return unknown_s
    return max(1.0, min(longest_s, service_s * (waiting + 1) / max(1, slots)))
