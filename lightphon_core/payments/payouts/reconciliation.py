"""After a restore the books may lack payouts that were made: nothing is paid until they are found again.

They are found in the log (`sent_log.py`), and in the wallet's own list of what it has sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from attrs import evolve, frozen
from sqlalchemy import Connection, func, select

from lightphon_core.errors import InvalidRequest, ProviderUnavailable
from lightphon_core.host import Clock
from lightphon_core.payments.payouts import store
from lightphon_core.payments.payouts.freezes import LOG_IS_AHEAD, RESTORED, freeze, freeze_of, lift
from lightphon_core.payments.payouts.payout import NOT_SENT, Payout, PayoutState, payout_id, taken
from lightphon_core.payments.payouts.sent_log import Own, RestoreMark, Sent, SentLog
from lightphon_core.payments.payouts.withdrawal import withdrawable, write_entry
from lightphon_core.ports import PayoutProvider
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import accounts, microseconds
from lightphon_core.types import Failed, Outgoing, Paid

DAY_S = 86_400
LISTING_TIMEOUT_S = 60.0


@frozen
class Adoption:
    """Whose an unexplained payment is: an account's, or that of a payout which the books have as not sent."""

    account: str | None = None
    payout: str | None = None


@frozen
class Found:
    """What a comparison found: payouts that are in the books again, and payments that nobody has explained yet."""

    restored: Sequence[Payout]
    unexplained: Sequence[Outgoing]


class Reconciliation:
    """Of the database in use with the log in the data directory, and with the wallets."""

    def __init__(
        self,
        database: Database,
        providers: Mapping[str, PayoutProvider],
        sent_log: SentLog,
        mark: RestoreMark,
        clock: Clock,
    ) -> None:
        self._database = database
        self._providers = providers
        self._log = sent_log
        self._mark = mark
        self._clock = clock

    async def begin(self) -> list[str]:
        """Freeze the providers whose payouts the database may lack, before the first one is submitted. Their names.

        Raises:
            StorageUnavailable: the database does not answer.
            OSError: the log cannot be read.
        """
        lines = await asyncio.to_thread(self._log.read)
        marked = self._mark.is_there
        now = microseconds(self._clock.now())

        def behind(connection: Connection) -> list[str]:
            return [name for name in self._providers if _unknown(connection, name, _sent(lines, name))]

        def freeze_all(connection: Connection, names: Sequence[str]) -> None:
            for name in names:
                freeze(connection, name, RESTORED if marked else LOG_IS_AHEAD, now)

        names = list(self._providers) if marked else await self._database.read(behind)
        if names:
            await self._database.write(partial(freeze_all, names=names))
            self._mark.remove()
        return names

    async def compare(self, name: str, adopt: Mapping[str, Adoption], own: Sequence[str]) -> Found:
        """Bring what the log and the wallet know back into the books, and what the administrator has explained.

        Raises:
            InvalidRequest: the provider is not frozen, or what is explained is none of what it has sent.
            ProviderUnavailable: the wallet does not answer. What the log knows is in the books again by then.
            StorageUnavailable: the database does not answer.
        """
        lines = await asyncio.to_thread(self._log.read)
        restored = await self._database.write(partial(self._write_back, name=name, lines=_sent(lines, name)))
        since = await self._database.read(partial(self._since, name=name))
        try:
            async with asyncio.timeout(LISTING_TIMEOUT_S):
                listed = await self._providers[name].sent(since)
        except TimeoutError as error:
            raise ProviderUnavailable("The wallet does not answer in time.") from error
        outgoing = {each.ref: each for each in listed if not isinstance(each.state, Failed)}
        for ref in (*adopt, *own):
            if ref not in outgoing:
                raise InvalidRequest(f"The wallet has sent no payment {ref[:64]!r} that is in question.", param="ref")
        for ref in own:
            await asyncio.to_thread(self._log.append, Own(name, ref))
        for ref, adoption in adopt.items():
            adopted = partial(self._adopt, name=name, outgoing=outgoing[ref], adoption=adoption)
            restored.append(await self._database.write(adopted))
        explained = {line.own for line in lines if isinstance(line, Own) and line.provider == name} | set(own)
        restored += await self._database.write(partial(self._bind_known, name=name, outgoing=list(outgoing.values())))
        known = await self._database.read(partial(_known_refs, name=name, refs=list(outgoing)))
        unexplained = [each for ref, each in outgoing.items() if ref not in explained and ref not in known]
        return Found(restored, sorted(unexplained, key=lambda each: each.at))

    async def lift(self, name: str) -> None:
        """Pay again."""
        await self._database.write(partial(lift, provider=name))

    def _since(self, connection: Connection, name: str) -> float:
        """From when on the wallet's payments are in question: a day before the latest payout that was in the restored
        database; where it has none, before its first account."""
        found = freeze_of(connection, name)
        if found is None:
            raise InvalidRequest("Payouts are not frozen: there is nothing to reconcile.", code="not_frozen")
        latest = store.last_submitted(connection, name, found.since)
        if latest is None:
            latest = connection.scalar(select(func.min(accounts.c.created_at))) or 0
        return max(0.0, latest / 1_000_000 - DAY_S)

    def _write_back(self, connection: Connection, name: str, lines: Sequence[Sent]) -> list[Payout]:
        now = microseconds(self._clock.now())
        return [_restore(connection, line, now) for line in _unknown(connection, name, lines)]

    def _bind_known(self, connection: Connection, name: str, outgoing: Sequence[Outgoing]) -> list[Payout]:
        """Payouts that the books have as not sent, and the wallet as sent."""
        bound = []
        for each in outgoing:
            payout = store.payout_by_ref(connection, name, each.ref)
            if payout is not None and payout.state in NOT_SENT:
                bound.append(_submitted(connection, payout, microseconds(self._clock.now())))
        return bound

    def _adopt(self, connection: Connection, name: str, outgoing: Outgoing, adoption: Adoption) -> Payout:
        now = microseconds(self._clock.now())
        if store.payout_by_ref(connection, name, outgoing.ref) is not None:
            raise InvalidRequest(f"The payment {outgoing.ref} is that of a payout already.", param="ref")
        expires_at = microseconds(outgoing.at + DAY_S)
        if adoption.payout is not None:
            payout = store.get_payout(connection, adoption.payout)
            if payout.state not in NOT_SENT or payout.ref is not None or payout.amount != outgoing.amount:
                raise InvalidRequest(
                    f"The payout {payout.id} is not one to an address, of this amount, that is yet to be sent.",
                    param="adopt",
                )
            return _submitted(connection, evolve(payout, ref=outgoing.ref, invoice_expires_at=expires_at), now)
        assert adoption.account is not None, "a payment is adopted for an account or for a payout"
        cap = outgoing.state.fee if isinstance(outgoing.state, Paid) else 0
        lightning, earned = _covered(connection, adoption.account, outgoing.amount + cap)
        payout = Payout(
            payout_id(adoption.account),
            adoption.account,
            name,
            PayoutState.UNKNOWN,
            outgoing.ref,
            False,
            outgoing.amount,
            cap,
            None,
            lightning,
            earned,
            outgoing.ref,
            None,
            expires_at,
            None,
            microseconds(outgoing.at),
            now,
        )
        store.add_payout(connection, payout)
        write_entry(connection, taken(payout))
        return payout


def _sent(lines: Iterable[Sent | Own], provider: str) -> list[Sent]:
    return [line for line in lines if isinstance(line, Sent) and line.provider == provider]


def _unknown(connection: Connection, name: str, lines: Sequence[Sent]) -> list[Sent]:
    """Those that the database does not know as sent."""
    ids, refs = [line.payout for line in lines], [line.ref for line in lines]
    known = store.known_as_sent(connection, name, ids, refs)
    return [line for line in lines if line.payout not in known and line.ref not in known]


def _known_refs(connection: Connection, name: str, refs: Iterable[str]) -> set[str]:
    return {ref for ref in refs if store.payout_by_ref(connection, name, ref) is not None}


def _restore(connection: Connection, line: Sent, now: int) -> Payout:
    """One of the log, in the books again. Nobody knows what came of it, so it is looked up from now on."""
    payout = store.find_payout(connection, line.payout) or store.payout_by_ref(connection, line.provider, line.ref)
    if payout is not None:  # it was asked for before the backup, and submitted after it
        found = evolve(payout, ref=line.ref, invoice=line.invoice, invoice_expires_at=line.invoice_expires_at)
        return _submitted(connection, found, now)
    lightning, earned = _covered(connection, line.account, line.amount + line.fee_cap)
    payout = line.as_payout(lightning=lightning, earned=earned, now=now)
    store.add_payout(connection, payout)
    write_entry(connection, taken(payout))
    return payout


def _submitted(connection: Connection, payout: Payout, now: int) -> Payout:
    payout = evolve(payout, state=PayoutState.UNKNOWN, submitted_at=now)
    store.advance(
        connection,
        payout,
        NOT_SENT,
        state=payout.state.value,
        ref=payout.ref,
        invoice=payout.invoice,
        invoice_expires_at=payout.invoice_expires_at,
        submitted_at=payout.submitted_at,
    )
    return payout


def _covered(connection: Connection, account: str, needed: int) -> tuple[int, int]:
    """What the wallet still has of it, by origin."""
    (lightning, earned), _ = withdrawable(connection, account)
    from_lightning = min(lightning, needed)
    return from_lightning, min(earned, needed - from_lightning)
