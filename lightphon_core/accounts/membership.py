"""What people do about their own account: register, log in and out, change the password, leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve, field, frozen
from sqlalchemy import Connection, update

from lightphon_core.accounts.attempts import Attempts
from lightphon_core.accounts.device_cookies import new_device, read_device
from lightphon_core.accounts.invites import is_invite, use_invite
from lightphon_core.accounts.limits import Limiter
from lightphon_core.accounts.logins import Login, find_login, known_login, login_of_id
from lightphon_core.accounts.passwords import Passwords, bounded_password, check_password
from lightphon_core.accounts.people import (
    Account,
    create_account,
    delete_account,
    require_account_name,
)
from lightphon_core.accounts.rates import Draw
from lightphon_core.accounts.sessions import end_session, end_sessions, open_session
from lightphon_core.errors import InvalidRequest, PermissionDenied, Unauthenticated
from lightphon_core.host import Clock
from lightphon_core.settings import AccountSettings
from lightphon_core.storage.engine import Database
from lightphon_core.storage.schema import accounts

Obligations = Callable[[Connection, str], Sequence[str]]
"""What still binds an account, one sentence each: the ledger's to say."""

GiveUp = Callable[[Connection, str, int], object]
"""Takes what is left in an account's wallet, if it is no more than so many msat: the ledger's to do."""


@frozen
class Entered:
    """Somebody who is logged in now, the token for the cookie, and the device cookie that goes with it. `left` is the
    id of the account whose session ended for it: their own, or that of whoever was logged in before."""

    account: Account
    token: str = field(repr=False)
    device_cookie: str = field(repr=False)
    left: str | None


def set_password(connection: Connection, account_id: str, password_hash: str) -> None:
    """Give the account another password. Every session of it ends."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(password_hash=password_hash))
    end_sessions(connection, account_id)


class Membership:
    """`client` is the address that a request came from. `old_token` is what its cookie held: that session ends, so that
    a token which somebody planted or saw before opens nothing afterwards.

    All raise `RateLimited`, and `InvalidRequest` for a password that can be none.
    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        settings: AccountSettings,
        clock: Clock,
        obligations: Obligations,
        give_up: GiveUp,
        limiter: Limiter,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._settings = settings
        self._attempts = Attempts(settings)
        self._clock = clock
        self._obligations = obligations
        self._give_up = give_up
        self._limiter = limiter

    async def register(
        self, name: str, password: str, *, invite: str | None, client: str | None, old_token: str | None
    ) -> Entered:
        """A new account, logged in.

        Raises:
            PermissionDenied: registration is closed, or the invitation is missing, unknown, used or expired.
            InvalidRequest: the name is taken, or cannot be one; or the password cannot be one.
        """
        if self._settings.registration == "closed":
            raise PermissionDenied("Registration is closed here. Ask the operator.", code="registration_closed")
        name, now = _typed(name), self._clock.now()
        require_account_name(name)
        check_password(password)
        code = (invite or "").strip()
        await self._limiter.admit([self._attempts.by_address(client)])
        by_invite = self._settings.registration == "invite"
        if by_invite and not await self._database.read(lambda connection: is_invite(connection, code, now=now)):
            raise _no_invite()
        hashed = await self._passwords.hash(password)

        def enter(connection: Connection) -> Entered:
            account = create_account(connection, name, now=now, password_hash=hashed)
            if by_invite and not use_invite(connection, code, now=now):
                raise _no_invite()
            return self._enter(connection, account, hashed, old_token)

        return await self._database.write(enter)

    async def log_in(
        self,
        name: str,
        password: str,
        *,
        client: str | None,
        old_token: str | None,
        device_cookie: str | None = None,
    ) -> Entered:
        """Somebody with a name and a password. An unknown name costs and says the same as a wrong password.

        A browser whose `device_cookie` shows that it was logged in to this account before has its own limits and its
        own place in the queue: what others try keeps it from nothing. Any other cookie is as good as none.

        Raises:
            Unauthenticated: the name or the password is wrong.
            PermissionDenied: both are right, and the account is blocked.
        """
        bounded_password(password)
        name = _typed(name)
        device = read_device(device_cookie)
        found = None
        draws: Sequence[Draw] = (self._attempts.by_name(name), self._attempts.by_address(client))
        if device is not None:
            found = await self._database.read(lambda connection: known_login(connection, name, device))
            if found is not None:
                draws = self._attempts.by_device(device)
        known = found is not None
        await self._limiter.admit(draws)
        if not known:
            found = await self._database.read(lambda connection: find_login(connection, name))
        stored = found.password_hash if found else None
        right = await self._passwords.verify(password, stored, known=known)
        if not right or found is None or stored is None:
            raise Unauthenticated("The name or the password is wrong.", code="invalid_login")
        if found.account.blocked_at is not None:
            raise PermissionDenied("This account is blocked. Ask the operator.", code="account_blocked")

        def enter(connection: Connection) -> Entered:
            _require_unchanged(connection, found)
            return self._enter(connection, found.account, stored, old_token)

        entered = await self._database.write(enter)
        await self._limiter.forget(draws[0].rate)  # whoever has shown the right password starts anew
        return entered

    async def log_out(self, token: str) -> str | None:
        """End the session of this token. The id of its account; None where there is no such session."""
        return await self._database.write(lambda connection: end_session(connection, token))

    async def account(self, account_id: str) -> Account:
        """Whom an id stands for. Raises `Unauthenticated` where the account has been deleted meanwhile."""
        return (await self._login_of(account_id)).account

    async def change_password(self, account_id: str, current: str, new: str) -> Entered:
        """Another password. Every session of the account ends, this one too: go on with the new token.

        Raises:
            Unauthenticated: the current password is wrong.
        """
        bounded_password(current)
        check_password(new)
        found = await self._login_of(account_id)
        # Not by name: who has used up the name's attempts must not keep its owner from a new password.
        await self._limiter.admit([self._attempts.by_account(account_id)])
        if not await self._passwords.verify(current, found.password_hash, known=True):
            raise Unauthenticated("The current password is wrong.", code="invalid_login")
        hashed = await self._passwords.hash(new, known=True)

        def change(connection: Connection) -> Entered:
            _require_unchanged(connection, found)
            set_password(connection, account_id, hashed)
            return evolve(self._enter(connection, found.account, hashed, None), left=account_id)

        return await self._database.write(change)

    async def delete(self, account_id: str, *, give_up_msat: int = 0) -> None:
        """Remove the account with all its credentials and sessions. Up to `give_up_msat` that are left in its wallet
        are the operator's then: few wallets end at 0.

        Raises:
            InvalidRequest: it has obligations; the message names them.
        """

        def leave(connection: Connection) -> None:
            # In the writer's transaction, so that no hold is taken between the look and the removal.
            self._give_up(connection, account_id, give_up_msat)
            if reasons := self._obligations(connection, account_id):
                raise InvalidRequest(
                    f"The account cannot be deleted yet. {' '.join(reasons)}", code="account_has_obligations"
                )
            delete_account(connection, account_id)

        await self._database.write(leave)

    def _enter(self, connection: Connection, account: Account, password_hash: str, old_token: str | None) -> Entered:
        left = None if old_token is None else end_session(connection, old_token)
        lifetime_s, recent_s = self._settings.session_lifetime_s, self._settings.recent_password_s
        now = self._clock.now()
        token = open_session(connection, account.id, now=now, lifetime_s=lifetime_s, recent_s=recent_s)
        return Entered(account, token, new_device(account.id, password_hash).cookie, left)

    async def _login_of(self, account_id: str) -> Login:
        found = await self._database.read(lambda connection: login_of_id(connection, account_id))
        if found is None:
            raise _ended()
        return found


def _require_unchanged(connection: Connection, found: Login) -> None:
    """argon2 took its time: the password that it checked may be none any more, and the account gone or blocked."""
    if login_of_id(connection, found.account.id) != found:
        raise _ended()


def _typed(name: str) -> str:
    """A name without the blanks that keyboards put behind it."""
    return name.strip()


def _ended() -> Unauthenticated:
    return Unauthenticated("Your account has changed meanwhile. Log in again.", code="session_ended")


def _no_invite() -> PermissionDenied:
    return PermissionDenied("This needs an invitation that is unused and not expired.", code="invitation_required")
