"""The money of one attempt: quoted and set aside before the job is sent, extended while it runs, settled once.

An offer that costs nothing has a tab too, which never touches the ledger.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from attrs import define, field, frozen

from lightphon_core.errors import (
    BalanceOnHold,
    BalanceOwed,
    BudgetExceeded,
    InsufficientBalance,
    StorageUnavailable,
    Unavailable,
)
from lightphon_core.ledger.commands import (
    Capture,
    Count,
    ExtendHold,
    HoldLost,
    Indebted,
    InsufficientFunds,
    NoSuchAccount,
    OverBudget,
    TakeHold,
)
from lightphon_core.ledger.ledger import Ledger
from lightphon_core.ledger.periods import SECOND_US, Period
from lightphon_core.money import MSAT_PER_SAT, sats, with_unit
from lightphon_core.serving.meter import Measured
from lightphon_core.types import Price, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

SLICE_TOKENS = 512
"""Completion tokens that are set aside at a time."""
SLICE_MS = 10_000
"""Milliseconds of inference, likewise."""
LEAST_MS = 1_000
"""What a wallet must cover at least, besides the prompt and one token."""
BUDGETS = {Period.DAY: "daily budget", Period.MONTH: "monthly budget", Period.TOTAL: "total budget"}
RETRY_AFTER_S = 5.0
"""When money that is on hold may be free again: about one short answer."""

log = structlog.stdlib.get_logger("lightphon.serving")


@frozen
class Terms:
    """What an attempt is charged by, locked when it starts.

    `payee` earns it, less the house's part; None: the house.
    """

    price: Price
    payee: str | None
    house_bps: int

    def cost(self, measured: Measured) -> int:
        """In msat."""
        usage = measured.usage
        return self.price.cost(
            prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, ms=measured.ms
        )


@define(eq=False)
class Tab:
    """`hold` names the money set aside, None for a free offer. `max_tokens` is what one choice may have.

    `amount` is set aside now; `delivered` is the cost of what surely reached the client, for the checkpoint.
    """

    ledger: Ledger
    terms: Terms
    hold: str | None
    max_tokens: int
    lease_us: int
    amount: int = 0
    delivered: int = 0
    _settled: bool = False
    _lost: bool = field(default=False, init=False)

    async def covers(self, measured: Measured) -> bool:
        """Whether what was measured is covered, after setting more aside if it must be. False: the wallet is empty, or
        the budget spent.

        Raises `StorageUnavailable` where the hold is gone.
        """
        if self.hold is None:
            return True
        due = self.terms.cost(measured)
        if self._lost:
            raise hold_lost()
        if due > self.amount:
            used = measured.usage
            ahead = Usage(used.prompt_tokens, used.completion_tokens + SLICE_TOKENS)
            await self._extend(self.terms.cost(Measured(ahead, measured.ms + SLICE_MS)) - self.amount)
        return due <= self.amount

    async def renew(self) -> None:
        """Keep the hold, and note down what was delivered. For the keeper: what fails here shows in `covers`."""
        if self.hold is not None and not self._settled:
            try:
                await self._extend(0)
            except StorageUnavailable:
                return

    def settle(self, measured: Measured, usage: Mapping[str, Any]) -> asyncio.Future[int]:
        """Charge what was measured, at most what is set aside, and release the rest. Call it once.

        It is asked for at once, whatever happens to the caller. The future has the amount charged.
        """
        command: Count | Capture = Count(dict(usage))
        if self.hold is not None:
            command = Capture(self.hold, self.terms.cost(measured), dict(usage))
        self._settled = True
        return self.ledger.submit(command)

    def release(self) -> asyncio.Future[int] | None:
        """Charge nothing. None if that was settled already, or there is nothing to release."""
        if self._settled or self.hold is None:
            return None
        self._settled = True
        return self.ledger.submit(Capture(self.hold, 0))

    @property
    def is_settled(self) -> bool:
        """Whether `settle` or `release` was called."""
        return self._settled

    async def _extend(self, more: int) -> None:
        assert self.hold is not None
        try:
            self.amount = await self.ledger.do(ExtendHold(self.hold, more, self.delivered, self.lease_us))
        except HoldLost:
            if not self._settled:
                self._lost = True
                raise hold_lost() from None


async def open_tab(
    ledger: Ledger,
    terms: Terms,
    *,
    hold: str,
    account: str,
    credential: str | None,
    prompt_tokens: int,
    max_tokens: int,
    n: int,
    lease_us: int,
    note: str,
) -> Tab:
    """Set the first slice aside, and clamp the answer to what the wallet and the budgets of the credential afford.

    `prompt_tokens` is the most the prompt can count. Raises `BalanceOwed` where the account owes money,
    `InsufficientBalance` where the wallet does not cover even the prompt and a token, `BudgetExceeded` where a budget
    does not, `BalanceOnHold` where they would but for what is set aside elsewhere, and `Unavailable` where the payee is
    gone.
    """
    price = terms.price
    if price.is_free:
        return Tab(ledger, terms, None, max_tokens, lease_us)
    most = max_tokens * n
    least = price.cost(prompt_tokens=prompt_tokens, completion_tokens=min(n, most), ms=LEAST_MS)
    first = price.cost(prompt_tokens=prompt_tokens, completion_tokens=min(SLICE_TOKENS, most), ms=SLICE_MS)
    try:
        taken = await ledger.do(
            TakeHold(hold, account, first, least, terms.payee, terms.house_bps, lease_us, note, credential)
        )
    except NoSuchAccount:
        # Of a node whose account was just deleted; or its backend names an owner who is none.
        log.warning("a node belongs to no account, and is passed over", model=note, owner=terms.payee)
        raise Unavailable("The account that this node belongs to is gone.") from None
    except Indebted as error:
        raise BalanceOwed(sats(error.owed)) from None
    except InsufficientFunds as error:
        raise _unaffordable(error) from None
    except OverBudget as error:
        raise _over_budget(error) from None
    except asyncio.CancelledError:
        # It is taken all the same, and nobody would know of it until its lease ends.
        ledger.submit(Capture(hold, 0))
        raise
    tokens = price.affordable_tokens(taken.amount + taken.left, prompt_tokens=prompt_tokens, ms=LEAST_MS)
    clamped = max_tokens if tokens is None else min(max_tokens, max(1, tokens // n))
    return Tab(ledger, terms, hold, clamped, lease_us, amount=taken.amount)


def _unaffordable(error: InsufficientFunds) -> InsufficientBalance | BalanceOnHold:
    if error.available + error.held >= error.needed:
        return BalanceOnHold(
            f"This request needs {with_unit(error.needed)}. The wallet has that, but {_on_hold(error.held)} for "
            "requests under way. Try again shortly.",
            retry_after=RETRY_AFTER_S,
        )
    return InsufficientBalance(
        f"The wallet is {with_unit(error.needed - error.available)} short: this request needs at least "
        f"{with_unit(error.needed)}, and {sats(error.available)} are available. Deposit more, or use a cheaper model."
    )


def _over_budget(error: OverBudget) -> BudgetExceeded | BalanceOnHold:
    budget = f"this key's {BUDGETS[error.period]} of {with_unit(error.amount)}"
    if error.left + error.held >= error.needed:
        return BalanceOnHold(
            f"This request needs {with_unit(error.needed)}. That is left of {budget}, but {_on_hold(error.held)} for "
            "requests under way. Try again shortly.",
            retry_after=RETRY_AFTER_S,
        )
    advice = "Raise it, or use another key or a cheaper model."
    if error.resets_at is not None:
        anew = datetime.fromtimestamp(error.resets_at // SECOND_US, UTC)
        advice = f"It begins anew at {anew:%Y-%m-%d %H:%M} UTC. Wait until then, or use another key or a cheaper model."
    return BudgetExceeded(
        f"This request needs at least {with_unit(error.needed)}, and {sats(error.left)} are left of {budget}. {advice}"
    )


def _on_hold(amount: int) -> str:
    return f"{with_unit(amount)} {'is' if amount == MSAT_PER_SAT else 'are'} on hold"


def hold_lost() -> StorageUnavailable:
    """Somebody else ended the hold of an answer: its lease was over."""
    return StorageUnavailable("The gateway lost the hold on the wallet for this answer. Try again.", retry_after=1)
