"""What every `Authenticator` must do."""

from collections.abc import Awaitable, Callable

import pytest
from attrs import evolve

from lightphon_core.errors import Unauthenticated
from lightphon_core.ports import Authenticator
from lightphon_core.types import Credentials, Principal, Scope

FOREIGN = [
    Credentials(),
    Credentials(headers={"authorization": ""}),
    Credentials(headers={"authorization": "Bearer"}),
    Credentials(headers={"authorization": "Basic dXNlcjpwYXNz"}),
    Credentials(headers={"authorization": "Bearer \x00\udcff"}),
    Credentials(headers={"authorization": "Bearer zz_" + "x" * 100_000}),
    Credentials(cookies={"session": "zz"}, path_token="zz"),  # noqa: S106 - not a secret
]


async def check_name(authenticator: Authenticator, good: Credentials) -> None:
    """A name, for the operator's order."""
    del good
    assert isinstance(authenticator.name, str), "an authenticator's name is a string"
    assert authenticator.name, "an authenticator has a name"


async def check_good(authenticator: Authenticator, good: Credentials) -> None:
    """Good credentials give the same principal every time."""
    principal = await authenticator.authenticate(good)
    assert isinstance(principal, Principal), f"good credentials give a Principal, not {principal!r}"
    assert principal.account_id, "a principal names an account"
    assert principal.credential_id, "a principal names the credential"
    assert all(isinstance(scope, Scope) for scope in principal.scopes), "scopes are of the type Scope"
    assert await authenticator.authenticate(good) == principal, "the same credentials give the same principal"


async def check_foreign(authenticator: Authenticator, good: Credentials) -> None:
    """What is not its own is None, or at most `Unauthenticated`; never a principal, never another error."""
    del good
    for foreign in FOREIGN:
        principal, message = await _answer(authenticator, foreign)
        assert principal is None, f"foreign credentials were taken for {principal!r}"
        secret = foreign.path_token or foreign.bearer
        assert not secret or secret not in message, "a message must not repeat the secret"


async def check_tampered(authenticator: Authenticator, good: Credentials) -> None:
    """Credentials with one character changed, added or cut off are refused, and no message repeats them."""
    secret = good.path_token or good.bearer
    assert secret, "the fixture `good` carries its secret as path token or bearer token"
    last = "A" if secret[-1] != "A" else "B"
    for wrong in (secret[:-1] + last, secret + "x", secret[:-1], secret.swapcase()):
        tampered = (
            evolve(good, path_token=wrong)
            if good.path_token
            else evolve(good, headers={**good.headers, "authorization": f"Bearer {wrong}"})
        )
        principal, message = await _answer(authenticator, tampered)
        assert wrong not in message, "a message must not repeat the secret"
        assert principal is None, "tampered credentials were accepted"


async def _answer(authenticator: Authenticator, credentials: Credentials) -> tuple[Principal | None, str]:
    """The principal, and the message of the `Unauthenticated` that was raised instead of an answer."""
    try:
        return await authenticator.authenticate(credentials), ""
    except Unauthenticated as error:
        return None, error.message
    except Exception as error:
        raise AssertionError(f"credentials that are not its own are no {type(error).__name__}") from error


CHECKS: list[Callable[[Authenticator, Credentials], Awaitable[None]]] = [
    check_name,
    check_good,
    check_foreign,
    check_tampered,
]


class AuthenticatorContract:
    """Subclass it in a test file, and give the fixtures `authenticator` and `good`: credentials that it accepts."""

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(
        self,
        check: Callable[[Authenticator, Credentials], Awaitable[None]],
        authenticator: Authenticator,
        good: Credentials,
    ) -> None:
        """One promise of the port."""
        await check(authenticator, good)
