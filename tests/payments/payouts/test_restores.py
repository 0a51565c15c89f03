"""A database that is put back does not know what was paid since: nothing is paid twice, and the books come right."""

import json
import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from lightphon_core.accounts.people import create_account
from lightphon_core.errors import InvalidRequest, ProviderUnavailable
from lightphon_core.ledger import audit
from lightphon_core.payments.payouts.freezes import freeze_of
from lightphon_core.payments.payouts.payout import PayoutState
from lightphon_core.payments.payouts.reconciliation import Adoption
from lightphon_core.payments.payouts.sent_log import Own, RestoreMark, SentLog
from lightphon_core.storage.backup import back_up, restore
from lightphon_core.storage.engine import Database
from lightphon_core.testing.payouts.scripted import ScriptedPayouts
from lightphon_core.types import Failed, InFlight, Paid


class World:
    """A server whose database is backed up and put back; its wallet and its data directory know nothing of that."""

    def __init__(self, file, clock, make):
        self.file, self.copy, self.clock, self.make = file, file.with_name("copy.db"), clock, make
        self.provider = ScriptedPayouts(fee=3_000, clock=clock)
        with Database(f"sqlite:///{file}") as database, database.transaction() as connection:
            self.people = [create_account(connection, name, now=1_799_000_000.0).id for name in ("alice", "bob")]

    @contextmanager
    def server(self):
        with Database(f"sqlite:///{self.file}") as database:
            yield self.make(database, self.file.parent, self.clock, self.people, self.provider)
            with database.snapshot() as connection:
                assert audit.verify(connection) == []

    def back_up(self):
        back_up(self.file, self.copy)

    def restore(self):
        restore(self.copy, self.file, at=datetime.now(UTC))
        self.clock.at += 3_600


@pytest.fixture
def world(file_database, clock, till_maker):
    return World(file_database, clock, till_maker)


@pytest.fixture
def log(world):
    return SentLog(world.file.parent)


def frozen(till):
    with till.database.snapshot() as connection:
        found = freeze_of(connection, "scripted")
    return None if found is None else found.reason


async def paid_out(till, sats=50, destination=None):
    payout = await till.ask(destination or till.invoice(sats), sats)
    await till.turn()
    return await till.again(payout)


class TestWithTheLog:
    async def test_payouts_come_back_into_the_books(self, world):
        with world.server() as till:
            till.fund(200)
            world.back_up()
            paid = await paid_out(till)
            world.provider.fails = "There is no way."
            failed = await paid_out(till)
            world.provider.fails, world.provider.in_flight = None, True
            pending = await paid_out(till, 20)
            whole = till.books()
        world.restore()
        with world.server() as till:
            assert till.books() == {"clearing:scripted": -200_000, "wallet:alice:lightning": 200_000}
            again = await till.ask(till.invoice(10))
            await till.turn()
            assert (await till.again(again)).state is PayoutState.HELD
            assert "older backup" in frozen(till)
            assert world.provider.line.calls.count("pay") == 3
            done = await till.administration.reconcile(None, {}, [])
            assert {each.id: each.state for each in done.restored} == {
                paid.id: PayoutState.PAID,
                failed.id: PayoutState.FAILED,
                pending.id: PayoutState.UNKNOWN,
            }
            assert (list(done.unexplained), done.freeze) == ([], None)
            assert till.books() == whole | {
                "payout:alice": whole["payout:alice"] + 20_000,
                "wallet:alice:lightning": whole["wallet:alice:lightning"] - 20_000,
            }
            world.provider.finish(pending.ref, Paid(1_000))
            world.provider.in_flight = False
            world.clock.at += 601
            await till.turn()
            assert till.books() == {"clearing:scripted": -113_000, "wallet:alice:lightning": 113_000}
            assert world.provider.line.calls.count("pay") == 4
        with world.server() as till:
            await till.turn()
            assert frozen(till) is None

    async def test_what_the_wallet_no_longer_covers_is_owed(self, world):
        """Money that came after the backup, and was paid out, is in no wallet."""
        with world.server() as till:
            world.back_up()
            till.fund(100)
            payout = await paid_out(till)
        world.restore()
        with world.server() as till:
            till.fund(20)
            await till.turn()
            (restored,) = (await till.administration.reconcile(None, {}, [])).restored
            assert (restored.id, restored.state, restored.owed) == (payout.id, PayoutState.PAID, 40_000)
            assert till.books() == {
                "clearing:scripted": 33_000,
                "receivable:alice": -33_000,
            }

    @pytest.mark.parametrize("destination", [None, "bob@example.org"])
    async def test_one_that_was_asked_for_before_the_backup_and_sent_after_it(self, world, destination):
        with world.server() as till:
            till.fund(100)
            payout = await till.ask(destination or till.invoice(50), 50)
            world.back_up()
            await till.turn()
            whole = till.books()
        world.restore()
        with world.server() as till:
            await till.turn()
            with pytest.raises(InvalidRequest) as refused:
                await till.administration.reject(payout.id, "It may have been paid.")
            assert refused.value.code == "payouts_frozen"
            (restored,) = (await till.administration.reconcile(None, {}, [])).restored
            assert (restored.id, restored.state) == (payout.id, PayoutState.PAID)
            assert till.books() == whole
            assert world.provider.line.calls.count("pay") == 1

    async def test_a_restart_freezes_nothing(self, world):
        with world.server() as till:
            till.fund(200)
            await paid_out(till)
            world.provider.in_flight = True
            await paid_out(till)
        with world.server() as till:
            await till.turn()
            assert frozen(till) is None

    async def test_a_wallet_that_is_down_leaves_it_frozen(self, world):
        with world.server() as till:
            till.fund(100)
            world.back_up()
            await paid_out(till)
        world.restore()
        with world.server() as till:
            await till.turn()
            world.provider.line.up = False
            with pytest.raises(ProviderUnavailable):
                await till.administration.reconcile(None, {}, [])
            assert frozen(till)
            world.provider.line.up = True
            assert (await till.administration.reconcile(None, {}, [])).freeze is None
            world.clock.at += 60
            await till.turn()
            assert till.books() == {"clearing:scripted": -47_000, "wallet:alice:lightning": 47_000}


class TestWithoutTheLog:
    async def test_each_payment_is_explained_by_an_administrator(self, world, log):
        with world.server() as till:
            till.fund(200)
            known = await paid_out(till, 10)
            waiting = await till.ask("bob@example.org", 30)
            world.back_up()
            world.clock.at += 60
            lost = [await paid_out(till, sats) for sats in (20, 25)]
            later = [await till.again(waiting)]
            world.provider.paid_by_others(7_000, "ff" * 32)
            world.provider.paid_by_others(8_000, "ee" * 32, Failed("no way"))
        log.path.unlink()
        RestoreMark(world.file.parent).leave()
        world.restore()
        world.clock.at += 5 * 86_400  # what is written back now must not hide what came before it
        with world.server() as till:
            await till.turn()
            assert "restored from a backup" in frozen(till)
            found = await till.administration.reconcile(None, {}, [])
            refs = {each.ref: each.amount for each in found.unexplained}
            assert refs == {
                "ff" * 32: 7_000,
                lost[0].ref: 20_000,
                lost[1].ref: 25_000,
                later[0].ref: 30_000,
            }
            assert known.ref not in refs
            assert found.freeze is not None
            with pytest.raises(InvalidRequest, match="no payment"):
                await till.administration.reconcile(None, {}, ["dd" * 32])
            alice, bob = till.account, till.other
            adopt = {lost[0].ref: Adoption(account=alice), later[0].ref: Adoption(payout=waiting.id)}
            found = await till.administration.reconcile(None, adopt, [])
            assert {each.ref for each in found.unexplained} == {"ff" * 32, lost[1].ref}
            found = await till.administration.reconcile(None, {lost[1].ref: Adoption(account=bob)}, ["ff" * 32])
            assert (list(found.unexplained), found.freeze) == ([], None)
            # 200, less 10, 20 and 30 with a fee of 3 each; bob owes 25 and 3
            assert till.books() == {
                "clearing:scripted": -200_000 + 10_000 + 20_000 + 25_000 + 30_000 + 4 * 3_000,
                "wallet:alice:lightning": 200_000 - 60_000 - 3 * 3_000,
                "receivable:bob": -28_000,
            }
            await till.turn()
            assert world.provider.line.calls.count("pay") == 4
        assert log.read() == [Own("scripted", "ff" * 32)]
        with world.server() as till:
            await till.turn()
            assert frozen(till) is None
            await till.administration.freeze(None, "to look")
            assert (await till.administration.reconcile(None, {}, [])).freeze is None

    async def test_what_cannot_be_adopted(self, world):
        with world.server() as till:
            till.fund(200)
            payout = await paid_out(till, 10)
            held = await till.ask(till.invoice(30))
            other = await till.ask("bob@example.org", 31)
            ref = world.provider.paid_by_others(30_000)
            await till.administration.freeze(None, "by hand")
            before = till.books()
            for adopt in (
                {payout.ref: Adoption(account=till.account)},
                {ref: Adoption(payout=payout.id)},
                {ref: Adoption(payout=held.id)},
                {ref: Adoption(payout=other.id)},
            ):
                with pytest.raises(InvalidRequest):
                    await till.administration.reconcile(None, adopt, [])
            assert till.books() == before

    async def test_one_under_way_is_adopted_too(self, world):
        with world.server() as till:
            till.fund(200)
            ref = world.provider.paid_by_others(30_000, state=InFlight())
            await till.administration.freeze(None, "by hand")
            adopt = {ref: Adoption(account=till.account)}
            (adopted,) = (await till.administration.reconcile(None, adopt, [])).restored
            assert adopted.state is PayoutState.UNKNOWN
            world.provider.finish(ref, Failed("no way"))
            world.clock.at += 60
            await till.turn()
            assert till.books() == {"clearing:scripted": -200_000, "wallet:alice:lightning": 200_000}


class TestByHand:
    async def test_payouts_are_asked_for_and_wait(self, world):
        with world.server() as till:
            till.fund(100)
            frozen_now = await till.administration.freeze(None, "Strange things happen.")
            assert (frozen_now.reason, frozen_now.by_restore) == ("Strange things happen.", False)
            payout = await till.ask(till.invoice(50))
            other = await till.ask("bob@example.org", 20)
            await till.turn()
            assert world.provider.line.calls == []
            await till.administration.reject(other.id, "Not now.")
            assert (await till.administration.reconcile(None, {}, [])).freeze is None
            await till.turn()
            assert (await till.again(payout)).state is PayoutState.PAID
            with pytest.raises(InvalidRequest) as refused:
                await till.administration.reconcile(None, {}, [])
            assert refused.value.code == "not_frozen"

    async def test_one_that_is_being_resolved_meanwhile(self, world):
        with world.server() as till:
            till.fund(100)
            payout = await till.ask("bob@example.org", 50)
            real = world.provider.resolve

            async def resolve(address, amount):
                await till.administration.freeze(None, "now")
                return await real(address, amount)

            world.provider.resolve = resolve
            await till.turn()
            assert (await till.again(payout)).state is PayoutState.HELD
            assert "pay" not in world.provider.line.calls


class TestTheLog:
    async def test_a_line_that_was_cut_off_spoils_no_other(self, world, log):
        with world.server() as till:
            till.fund(100)
            await paid_out(till, 10)
            with log.path.open("ab") as file:
                file.write(b'{"payout": "pay_')
            await paid_out(till, 20)
        assert [line.amount for line in log.read()] == [10_000, 20_000]
        assert log.path.stat().st_mode & 0o777 == 0o600

    def test_lightphon_restore_leaves_its_mark(self, world, run_cli):
        world.back_up()
        data_dir = world.file.parent
        mark = RestoreMark(data_dir)
        with pytest.raises(SystemExit):
            run_cli("restore", str(data_dir / "nothing.db"), "--data-dir", str(data_dir))
        assert not mark.is_there
        printed = run_cli("restore", str(world.copy), "--data-dir", str(data_dir), "--json")
        assert json.loads(printed)["replaced"]
        assert mark.is_there
        with sqlite3.connect(world.file) as connection:
            assert connection.execute("SELECT count(*) FROM payout_freezes").fetchone() == (0,)
        connection.close()

    async def test_the_mark_is_gone_once_it_is_heeded(self, world):
        mark = RestoreMark(world.file.parent)
        mark.leave()
        with world.server() as till:
            await till.turn()
            assert "restored from a backup" in frozen(till)
            assert not mark.is_there
            await till.administration.freeze(None, "by hand")
            assert "restored from a backup" in frozen(till)
