"""What administrators do about payouts: approve and reject, declare failed, freeze and reconcile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

from attrs import frozen
from sqlalchemy import Connection

from lightphon_core.errors import InvalidRequest, ProviderUnavailable
from lightphon_core.payments.payouts import store
from lightphon_core.payments.payouts.ending import end
from lightphon_core.payments.payouts.freezes import Freeze, freeze, freeze_of, freezes
from lightphon_core.payments.payouts.payout import FORGOTTEN_S, LONGEST_REASON, NOT_SENT, SENT, Payout, PayoutState
from lightphon_core.payments.payouts.reconciliation import Adoption, Reconciliation
from lightphon_core.payments.payouts.service import Payouts
from lightphon_core.payments.payouts.submission import Submission
from lightphon_core.types import Failed, NotKnown, Outgoing, Paid


@frozen
class Reconciled:
    """Payouts that are in the books again, payments that are yet to be explained, and the freeze, if it still is."""

    restored: Sequence[Payout]
    unexplained: Sequence[Outgoing]
    freeze: Freeze | None


class PayoutAdministration:
    """One per application."""

    def __init__(self, payouts: Payouts, submission: Submission, reconciliation: Reconciliation) -> None:
        self._payouts = payouts
        self._database = payouts.database
        self._submission = submission
        self._reconciliation = reconciliation

    async def approve(self, payout_id: str) -> Payout:
        """Let one be paid that awaits approval. Raises `InvalidRequest`, `NotFound`."""

        def approved(connection: Connection) -> Payout:
            payout = store.get_payout(connection, payout_id)
            if not store.advance(connection, payout, (PayoutState.AWAITING_APPROVAL,), state=PayoutState.HELD.value):
                raise _not_now(payout, "approved: it awaits no approval")
            return store.get_payout(connection, payout_id)

        payout = await self._database.write(approved)
        self._payouts.asked()
        return payout

    async def reject(self, payout_id: str, reason: str) -> Payout:
        """Give the money of one back that was not sent yet. Raises `InvalidRequest`, `NotFound`."""
        reason = _checked(reason)

        def rejected(connection: Connection) -> Payout:
            payout = store.get_payout(connection, payout_id)
            found = freeze_of(connection, payout.provider)
            if found is not None and found.by_restore:
                raise InvalidRequest(
                    "The database was restored, and this payout may have been paid since the backup. Reconcile first.",
                    code="payouts_frozen",
                )
            if not end(connection, payout, Failed(reason), self._payouts.now, states=NOT_SENT):
                raise _not_now(payout, "rejected")
            return store.get_payout(connection, payout_id)

        return await self._database.write(rejected)

    async def declare_failed(self, payout_id: str) -> Payout:
        """Give the money of one back of which the wallet knows nothing, though it was asked to pay.

        Raises:
            InvalidRequest: it was not sent, has ended, or may still be paid. If the wallet says that it was paid, that
                is written down.
            NotFound: there is none.
            ProviderUnavailable: the wallet does not answer.
        """
        payout = await self._database.read(partial(store.get_payout, payout_id=payout_id))
        if payout.state not in SENT:
            raise _not_now(payout, "declared failed")
        if payout.provider not in self._payouts.providers:
            raise InvalidRequest(f"The provider {payout.provider!r} is not set up, and cannot be asked.")
        state = await self._submission.look(payout)
        if isinstance(state, Paid):
            raise InvalidRequest("The wallet says that it was paid.", code="payout_paid")
        if isinstance(state, NotKnown):
            until = (payout.invoice_expires_at or 0) / 1_000_000 + FORGOTTEN_S
            if (left_s := until - self._payouts.clock.now()) > 0:
                raise InvalidRequest(
                    "The wallet does not know this payment, but it might still be on its way. It can be declared "
                    f"failed an hour after its invoice has expired: in {left_s / 60:.0f} minutes.",
                    code="payout_may_be_paid",
                )
            failed = Failed("The wallet never paid it, and an administrator declared it failed.")
            await self._submission.record(payout, failed)
        elif not isinstance(state, Failed):
            raise InvalidRequest("The wallet says that it is under way.", code="payout_may_be_paid")
        return await self._database.read(partial(store.get_payout, payout_id=payout_id))

    async def freezes(self) -> Sequence[Freeze]:
        """Providers through which nothing is paid out for now."""
        return await self._database.read(freezes)

    async def freeze(self, provider: str | None, reason: str) -> Freeze:
        """Pay nothing out through a provider until it is reconciled. Raises `InvalidRequest`."""
        name, reason = self._payouts.provider(provider).name, _checked(reason)

        def frozen_now(connection: Connection) -> Freeze:
            freeze(connection, name, reason, self._payouts.now)
            found = freeze_of(connection, name)
            assert found is not None, "it was just written"
            return found

        return await self._database.write(frozen_now)

    async def reconcile(self, provider: str | None, adopt: Mapping[str, Adoption], own: Sequence[str]) -> Reconciled:
        """Compare the books with the log and the wallet, and pay again if nothing is left open. `adopt` says whose
        payments are that the books lack, by ref, and `own` which are the operator's own.

        Raises:
            InvalidRequest: nothing is frozen, or what is explained is none of what the wallet has sent.
            ProviderUnavailable: the wallet does not answer.
        """
        name = self._payouts.provider(provider).name
        found = await self._reconciliation.compare(name, adopt, own)

        async def look(payout: Payout) -> None:
            with contextlib.suppress(ProviderUnavailable):  # the runner asks again
                await self._submission.look(payout)

        await asyncio.gather(*(look(payout) for payout in found.restored))
        if not found.unexplained:
            await self._reconciliation.lift(name)
            self._payouts.asked()
        read = partial(_again, ids=[payout.id for payout in found.restored])
        restored = await self._database.read(read)
        return Reconciled(restored, found.unexplained, await self._database.read(partial(freeze_of, provider=name)))


def _again(connection: Connection, ids: Sequence[str]) -> Sequence[Payout]:
    return [store.get_payout(connection, each) for each in ids]


def _not_now(payout: Payout, what: str) -> InvalidRequest:
    return InvalidRequest(
        f"A payout that is {payout.state.replace('_', ' ')} cannot be {what}.", code="payout_in_other_state"
    )


def _checked(reason: str) -> str:
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise InvalidRequest(f"A reason has 1 to {LONGEST_REASON} printable characters.", param="reason")
    return reason
