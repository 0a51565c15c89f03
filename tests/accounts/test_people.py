"""Passwords, sessions, invitations and attempts, without HTTP, on each kind of database."""

import asyncio
import os
import sys
import threading

import pytest
from argon2 import PasswordHasher
from sqlalchemy import update

from lightphon_core.accounts import passwords as passwords_module
from lightphon_core.accounts.authenticators import ApiKeys, Sessions
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.invites import create_invite, is_invite, use_invite
from lightphon_core.accounts.lookups import SecretLookups
from lightphon_core.accounts.membership import Membership
from lightphon_core.accounts.passwords import MAX_LENGTH, NICENESS, PARALLEL, Passwords, check_password
from lightphon_core.accounts.people import account_of_id, create_account, find_account, get_account, set_blocked
from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.sessions import COOKIE, SECURE_COOKIE, end_session, find_session, open_session
from lightphon_core.accounts.stored_limiter import StoredLimiter
from lightphon_core.errors import InvalidRequest, PermissionDenied, RateLimited, Unauthenticated
from lightphon_core.ledger import adjustment
from lightphon_core.ledger.adjustment import give_up
from lightphon_core.ledger.commands import Post, Posting, TakeHold
from lightphon_core.ledger.obligations import obligations_of
from lightphon_core.ledger.store import carry_out
from lightphon_core.log import redact
from lightphon_core.settings import AccountSettings
from lightphon_core.storage.schema import accounts, microseconds
from lightphon_core.types import Credentials, Scope

NOW = 1_800_000_000.0
GOOD = "correct horse battery"


class StoppedClock:
    def __init__(self):
        self.time = NOW

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


class CountingHasher:
    """argon2, cheap; `spent` is how often it ran."""

    def __init__(self):
        self._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.spent = 0

    def hash(self, password):
        self.spent += 1
        return self._hasher.hash(password)

    def verify(self, stored, password):
        self.spent += 1
        return self._hasher.verify(stored, password)


@pytest.fixture(autouse=True)
def argon2(monkeypatch):
    counting = CountingHasher()
    monkeypatch.setattr(passwords_module, "_hasher", counting)
    return counting


@pytest.fixture
def clock():
    return StoppedClock()


@pytest.fixture
def passwords():
    made = Passwords()
    yield made
    made.close()


@pytest.fixture
def member_of(database, passwords, clock):
    limiter = StoredLimiter(database, clock=lambda _: microseconds(clock.time))

    def build(registration):
        settings = AccountSettings(registration=registration)
        return Membership(database, passwords, settings, clock, obligations_of, give_up, limiter)

    return build


@pytest.fixture
def membership(member_of):
    return member_of("open")


def register(membership, name="alice", **options):
    return membership.register(name, GOOD, **{"invite": None, "client": "::1", "old_token": None, **options})


def log_in(membership, name="alice", password=GOOD, client="::1", old_token=None):
    return membership.log_in(name, password, client=client, old_token=old_token)


class TestPasswords:
    @pytest.mark.parametrize("wrong", ["", "short", "x" * (MAX_LENGTH + 1), "surrogate \ud800 half"])
    def test_what_can_be_none(self, wrong):
        with pytest.raises(InvalidRequest) as refused:
            check_password(wrong)
        assert refused.value.param == "password"
        assert not wrong or wrong not in refused.value.message

    async def test_letters_may_be_composed_in_any_way(self, passwords):
        stored = await passwords.hash("caf\u00e9 au lait")
        assert stored.startswith("$argon2id$")
        assert await passwords.verify("cafe\u0301 au lait", stored)
        assert not await passwords.verify("cafe au lait", stored)
        assert not await passwords.verify("caf\u00e9 au lait", "no hash at all")

    async def test_few_at_a_time_and_few_that_wait(self, passwords, monkeypatch):
        running, most, go, lock = 0, 0, threading.Event(), threading.Lock()

        class Slow:
            def hash(self, password):
                nonlocal running, most
                with lock:
                    running += 1
                    most = max(most, running)
                assert go.wait(20)
                with lock:
                    running -= 1
                return "x"

        monkeypatch.setattr(passwords_module, "_hasher", Slow())
        monkeypatch.setattr(passwords_module, "WAITING_LIMIT", 6)
        tasks = [asyncio.create_task(passwords.verify("p", None)) for _ in range(6)]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await passwords.verify("p", None)
        go.set()
        assert not any(await asyncio.gather(*tasks))
        assert most == PARALLEL
        assert await passwords.verify("p", None) is False

    async def test_it_steps_back_for_everything_else(self, passwords, monkeypatch):
        niceness = []

        class Asking:
            def hash(self, password):
                niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

        monkeypatch.setattr(passwords_module, "_hasher", Asking())
        await passwords.verify("p", None)
        own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        assert niceness == [max(NICENESS, own) if sys.platform == "linux" else own]


class TestLogIn:
    async def test_unknown_and_wrong_are_alike_and_cost_alike(self, membership, argon2, database):
        await register(membership)
        with database.transaction() as connection:
            create_account(connection, "keys-only", now=NOW)
        said = set()
        for name, password in [
            ("alice", "wrong"),
            ("nobody", GOOD),
            ("keys-only", GOOD),
            ("no\x00name", GOOD),
            ("\ud800", GOOD),
        ]:
            before = argon2.spent
            with pytest.raises(Unauthenticated) as refused:
                await log_in(membership, name, password)
            said.add((refused.value.message, refused.value.code))
            assert argon2.spent == before + 1, name
        assert said == {("The name or the password is wrong.", "invalid_login")}

    async def test_a_log_in_ends_the_session_that_was_there(self, membership, database):
        planted = (await register(membership)).token
        entered = await log_in(membership, "ALICE", old_token=planted)
        assert entered.token != planted
        with database.snapshot() as connection:
            assert find_session(connection, planted, now=NOW) is None
            assert find_session(connection, entered.token, now=NOW).account_id == entered.account.id

    async def test_a_token_of_the_client_is_never_taken(self, membership, database):
        chosen = "ls_" + "x" * 36
        await register(membership, old_token=chosen)
        with database.snapshot() as connection:
            assert find_session(connection, chosen, now=NOW) is None

    async def test_attempts_are_limited_by_name_and_come_back(self, membership, argon2, clock):
        await register(membership)
        for number in range(10):
            with pytest.raises(Unauthenticated):
                await log_in(membership, password="wrong", client=f"10.0.0.{number}")
        spent = argon2.spent
        with pytest.raises(RateLimited) as refused:
            await log_in(membership, client="10.0.0.99")
        assert refused.value.retry_after == pytest.approx(6)
        assert argon2.spent == spent
        clock.time += 6
        await log_in(membership)
        for _ in range(10):  # the right password clears the name
            with pytest.raises(Unauthenticated):
                await log_in(membership, password="wrong")

    async def test_a_name_typed_in_another_way_is_no_other_name(self, membership):
        await register(membership)
        for number, name in enumerate(
            ["alice", "Alice", "ALICE", " alice", "alice ", "\talice", "alice\n", "aLICE", "\u2003alice", "alicE"]
        ):
            with pytest.raises(Unauthenticated):
                await log_in(membership, name, "wrong", client=f"10.0.0.{number}")
        with pytest.raises(RateLimited):
            await log_in(membership, "  alice", client="10.0.0.99")

    async def test_attempts_are_limited_by_address(self, membership):
        for number in range(60):
            with pytest.raises(Unauthenticated):
                await log_in(membership, f"name-{number}")
        with pytest.raises(RateLimited):
            await log_in(membership, "another")
        with pytest.raises(RateLimited):
            await register(membership, "carol")
        await register(membership, "carol", client="10.0.0.1")

    async def test_blocked(self, membership, database):
        entered = await register(membership)
        with database.transaction() as connection:
            set_blocked(connection, entered.account, 1)
            _, key = create_credential(connection, entered.account, Kind.API_KEY, now=NOW)
        with pytest.raises(PermissionDenied, match="blocked"):
            await log_in(membership)
        with pytest.raises(Unauthenticated, match="wrong"):  # nobody else is told
            await log_in(membership, password="wrong")
        for authenticator, credentials in [
            (Sessions(SecretLookups(database), StoppedClock()), Credentials(cookies={COOKIE: entered.token})),
            (ApiKeys(SecretLookups(database), StoppedClock()), Credentials({"authorization": f"Bearer {key}"})),
        ]:
            with pytest.raises(Unauthenticated, match="blocked"):
                await authenticator.authenticate(credentials)
        with database.transaction() as connection:
            set_blocked(connection, entered.account, None)
        await log_in(membership)

    async def test_a_password_that_changed_meanwhile_logs_nobody_in(self, membership, passwords, database, monkeypatch):
        entered = await register(membership)
        verify = passwords.verify

        async def overtaken(password, stored, *, known):
            monkeypatch.setattr(passwords, "verify", verify)
            assert await verify(password, stored, known=known)
            await membership.change_password(entered.account.id, GOOD, "another password")
            return True

        monkeypatch.setattr(passwords, "verify", overtaken)
        with pytest.raises(Unauthenticated, match="changed meanwhile"):
            await log_in(membership)


class TestChangeAndLeave:
    async def test_another_password_ends_every_session(self, membership, database):
        first = await register(membership)
        second = await log_in(membership)
        with pytest.raises(Unauthenticated, match="current password"):
            await membership.change_password(first.account.id, "wrong", "another password")
        changed = await membership.change_password(first.account.id, GOOD, "another password")
        with database.snapshot() as connection:
            open_ = [find_session(connection, each.token, now=NOW) for each in (first, second, changed)]
        assert [each is not None for each in open_] == [False, False, True]
        with pytest.raises(Unauthenticated):
            await log_in(membership)
        await log_in(membership, password="another password")

    async def test_guesses_at_the_current_password_are_limited_and_not_by_name(self, membership):
        entered = await register(membership)
        for _ in range(10):
            with pytest.raises(Unauthenticated):
                await log_in(membership, password="wrong")
        for _ in range(10):
            with pytest.raises(Unauthenticated):
                await membership.change_password(entered.account.id, "wrong", "another password")
        with pytest.raises(RateLimited):
            await membership.change_password(entered.account.id, GOOD, "another password")

    async def test_nobody_leaves_with_obligations(self, membership, database):
        entered = await register(membership)
        account = entered.account.id

        for kind, words in [("wallet", r"still has 5 sats"), ("earnings", r"5 sats of earnings are pending")]:
            name = f"{kind}:{account}:granted"
            there, back = Posting("adjustments", name, 5_000), Posting(name, "adjustments", 5_000)
            with database.transaction() as connection:
                carry_out(connection, [Post("test", "test", f"{kind}-there", (there,))])
            with pytest.raises(InvalidRequest, match=words) as refused:
                await membership.delete(account)
            assert refused.value.code == "account_has_obligations"
            with database.transaction() as connection:
                carry_out(connection, [Post("test", "test", f"{kind}-back", (back,))])
        with database.transaction() as connection:
            create_credential(connection, entered.account, Kind.API_KEY, now=NOW)
        await membership.delete(account)
        with database.snapshot() as connection:
            assert find_account(connection, "alice") is None
            assert find_session(connection, entered.token, now=NOW) is None
        with pytest.raises(Unauthenticated):
            await membership.account(account)

    async def test_who_is_owed_by_an_answer_under_way_stays(self, membership, database):
        owner = (await register(membership, "owner")).account.id
        user = (await register(membership, "user")).account.id
        with database.transaction() as connection:
            hold = TakeHold("hold_1", user, 1_000, 1_000, owner, 0, 30_000_000)
            answers = carry_out(connection, [adjustment.credit(user, 5_000, "gift"), hold])
        assert not any(isinstance(each, Exception) for each in answers)
        for account in (owner, user):
            with pytest.raises(InvalidRequest, match="Answers are under way"):
                await membership.delete(account)


class TestRegistration:
    async def test_closed(self, member_of, argon2):
        closed = member_of("closed")
        with pytest.raises(PermissionDenied, match="closed"):
            await register(closed)
        assert argon2.spent == 0

    async def test_an_invitation_admits_one(self, member_of, database, argon2):
        by_invite = member_of("invite")
        with database.transaction() as connection:
            code = create_invite(connection, now=NOW, lifetime_s=60)
        for wrong in (None, "", "li_" + "x" * 36, "é"):
            with pytest.raises(PermissionDenied, match="invitation"):
                await register(by_invite, invite=wrong)
        assert argon2.spent == 0
        with database.transaction() as connection:
            create_account(connection, "taken", now=NOW)
        with pytest.raises(PermissionDenied, match="invitation"):  # whoever has none is told of no name
            await register(by_invite, "taken")
        with pytest.raises(InvalidRequest, match="already"):
            await register(by_invite, "taken", invite=code)  # and the invitation is good still
        asked = [register(by_invite, f"name-{number}", invite=f" {code}\n") for number in range(4)]
        came = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(each).__name__ for each in came) == ["Entered"] + ["PermissionDenied"] * 3

    def test_an_invitation_expires(self, database):
        with database.transaction() as connection:
            code = create_invite(connection, now=NOW, lifetime_s=60)
            assert is_invite(connection, code, now=NOW + 59)
            assert not use_invite(connection, code, now=NOW + 60)

    async def test_a_name_that_is_taken_costs_as_much_as_one_that_is_not(self, membership, argon2):
        await register(membership)
        assert argon2.spent == 1
        with pytest.raises(InvalidRequest, match="already"):
            await register(membership)
        assert argon2.spent == 2

    async def test_nobody_passes_for_another_by_a_capital(self, membership, database):
        await register(membership)
        with pytest.raises(InvalidRequest, match="already"):
            await register(membership, "ALICE")
        await register(membership, "Bob@Example.org")
        with database.snapshot() as connection:
            assert get_account(connection, "bob@example.org")

    async def test_nor_for_one_that_the_operator_made(self, membership, database):
        with database.transaction() as connection:
            assert create_account(connection, "Admin", now=NOW).name == "admin"
            older = create_account(connection, "root", now=NOW)  # and one of a version that kept capitals
            connection.execute(update(accounts).where(accounts.c.id == older.id).values(name="Root"))
        for taken in ("admin", "ADMIN", "Root", "root", "rOOT"):
            with pytest.raises(InvalidRequest, match="already"):
                await register(membership, taken)
        with database.snapshot() as connection:
            assert get_account(connection, "aDMIN").name == "admin"
            assert get_account(connection, "Root").id == older.id

    async def test_of_two_older_ones_each_is_who_is_typed(self, membership, database):
        for registered, older in (("first", "Twin"), ("second", "twin")):
            account = (await register(membership, registered)).account
            with database.transaction() as connection:
                connection.execute(update(accounts).where(accounts.c.id == account.id).values(name=older))
        for name in ("Twin", "twin"):
            assert (await log_in(membership, name)).account.name == name
        assert (await log_in(membership, "TWIN")).account.name == "twin"

    @pytest.mark.parametrize("odd", ["", " ", "\u212aate", "ali\u200bce", "\uff41lice", "alıce", "a b", "a" * 65, "\0"])
    async def test_names_that_look_like_others_are_none(self, membership, database, argon2, odd):
        with pytest.raises(InvalidRequest) as refused:
            await register(membership, odd)
        assert refused.value.param == "name"
        assert argon2.spent == 0
        with database.snapshot() as connection:
            assert find_account(connection, odd) is None
            assert account_of_id(connection, odd) is None

    async def test_blanks_around_a_name_are_no_part_of_it(self, membership):
        entered = await register(membership, " alice\t")
        assert entered.account.name == "alice"
        assert (await log_in(membership, "alice ")).account == entered.account


def test_tokens_and_invitations_never_reach_a_log():
    for secret in ("ls_" + "aB3" * 12, "li_" + "aB3" * 12):
        assert secret not in redact(f"somebody brought {secret}.")


class TestSessions:
    @pytest.fixture
    def token(self, database):
        with database.transaction() as connection:
            account = create_account(connection, "alice", now=NOW)
            return open_session(connection, account.id, now=NOW, lifetime_s=1000, recent_s=100)

    async def test_what_a_session_may_do_as_time_goes_by(self, database, token, clock):
        sessions = Sessions(SecretLookups(database), clock)
        for cookie in (COOKIE, SECURE_COOKIE):
            shown = Credentials(cookies={cookie: token})
            clock.time = NOW + 99
            assert (await sessions.authenticate(shown)).scopes == {Scope.ACCOUNT, Scope.MANAGE}
            clock.time = NOW + 100
            assert (await sessions.authenticate(shown)).scopes == {Scope.ACCOUNT}
            clock.time = NOW + 1000
            with pytest.raises(Unauthenticated, match="ended"):
                await sessions.authenticate(shown)

    def test_one_that_expired_is_removed_and_one_that_ended_is_gone(self, database, token):
        with database.transaction() as connection:
            account = get_account(connection, "alice")
            later = open_session(connection, account.id, now=NOW + 1000, lifetime_s=10, recent_s=1)
            assert find_session(connection, token, now=NOW) is None
            assert find_session(connection, later, now=NOW + 1000)
            end_session(connection, later)
            assert find_session(connection, later, now=NOW + 1000) is None
            end_session(connection, later)

    @pytest.mark.parametrize("odd", ["", "x", "ls_", "ls_" + "é" * 36, "\x00", "\udcff", "ls_" + "A" * 10_000])
    def test_any_text_may_be_shown(self, database, odd):
        with database.transaction() as connection:
            assert find_session(connection, odd, now=NOW) is None
            end_session(connection, odd)
            assert not is_invite(connection, odd, now=NOW)
