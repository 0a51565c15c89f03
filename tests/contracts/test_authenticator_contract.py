"""The authenticator suite: the built-in authenticators pass it, and each check catches what it is for."""

import hmac
import time
from itertools import count

import pytest

from lightphon_core import Authenticator, Credentials, Principal, Scope, Unauthenticated
from lightphon_core.accounts.authenticators import AgentTokens, ApiKeys, NodeTokens
from lightphon_core.accounts.credentials import create_credential
from lightphon_core.accounts.lookups import SecretLookups
from lightphon_core.accounts.people import create_account
from lightphon_core.accounts.secrets import Kind
from lightphon_core.host import SystemClock
from lightphon_core.storage.engine import Database
from lightphon_core.storage.migrate import migrate
from lightphon_core.testing import AuthenticatorContract, authenticator


@pytest.fixture
def database(tmp_path):
    with Database(f"sqlite:///{tmp_path}/lightphon.db") as database:
        migrate(database)
        yield database


@pytest.fixture
def secret_of(database):
    """Makes a credential of a kind, and gives its secret."""

    def make(kind):
        with database.transaction() as connection:
            account = create_account(connection, "test", now=time.time())
            return create_credential(connection, account, kind, now=time.time())[1]

    return make


def bearer(secret: str) -> Credentials:
    return Credentials(headers={"authorization": f"Bearer {secret}"})


class TestApiKeys(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self, database):
        return ApiKeys(SecretLookups(database), SystemClock())

    @pytest.fixture
    def good(self, secret_of):
        return bearer(secret_of(Kind.API_KEY))


class TestAgentTokens(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self, database):
        return AgentTokens(SecretLookups(database), SystemClock())

    @pytest.fixture
    def good(self, secret_of):
        return Credentials(path_token=secret_of(Kind.AGENT_TOKEN))


class TestNodeTokens(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self, database):
        return NodeTokens(SecretLookups(database), SystemClock())

    @pytest.fixture
    def good(self, secret_of):
        return bearer(secret_of(Kind.NODE_TOKEN))


GOOD = bearer("zz_Secret-1")
ALICE = Principal("alice", "key-1", frozenset({Scope.INFERENCE}))


class Static(Authenticator):
    """One secret, one principal."""

    name = "static"

    async def authenticate(self, credentials):
        secret = credentials.bearer or ""
        if not secret.startswith("zz_"):
            return None
        if not hmac.compare_digest(secret.encode("utf-8", "replace"), b"zz_Secret-1"):
            raise Unauthenticated("This key is unknown.")
        return ALICE


class TestStatic(AuthenticatorContract):
    @pytest.fixture
    def authenticator(self):
        return Static()

    @pytest.fixture
    def good(self):
        return GOOD


class Nameless(Static):
    name = ""


class NamedByANumber(Static):
    name = 7


class GivesAName(Static):
    async def authenticate(self, credentials):
        return "alice"


class GivesWordsForScopes(Static):
    async def authenticate(self, credentials):
        return Principal("alice", "key-1", frozenset({"inference"}))


class KnowsNobody(Static):
    async def authenticate(self, credentials):
        return Principal("", "key-1", frozenset())


class CountsCredentials(Static):
    numbers = count()

    async def authenticate(self, credentials):
        return Principal("alice", f"key-{next(self.numbers)}", frozenset())


class WelcomesEverybody(Static):
    async def authenticate(self, credentials):
        return ALICE


class TripsOverForeigners(Static):
    async def authenticate(self, credentials):
        return await super().authenticate(credentials) if credentials.headers["authorization"] else None


class ComparesTheBeginning(Static):
    async def authenticate(self, credentials):
        return ALICE if (credentials.bearer or "").startswith("zz_Secret") else None


class ComparesWithoutCase(Static):
    async def authenticate(self, credentials):
        return ALICE if (credentials.bearer or "").lower() == "zz_secret-1" else None


class ComparesAsFarAsItGoes(Static):
    async def authenticate(self, credentials):
        secret = credentials.bearer or ""
        return ALICE if secret and "zz_Secret-1".startswith(secret) else None


class RepeatsTheSecret(Static):
    async def authenticate(self, credentials):
        if credentials.bearer == "zz_Secret-1":
            return ALICE
        raise Unauthenticated(f"The key {credentials.bearer} is unknown.")


BROKEN = [
    ("name", NamedByANumber, "is a string"),
    ("name", Nameless, "has a name"),
    ("good", GivesAName, "give a Principal"),
    ("good", GivesWordsForScopes, "scopes are of the type Scope"),
    ("good", KnowsNobody, "names an account"),
    ("good", CountsCredentials, "same principal"),
    ("foreign", WelcomesEverybody, "taken for"),
    ("foreign", TripsOverForeigners, "KeyError"),
    ("foreign", RepeatsTheSecret, "repeat the secret"),
    ("tampered", ComparesTheBeginning, "tampered"),
    ("tampered", ComparesWithoutCase, "tampered"),
    ("tampered", ComparesAsFarAsItGoes, "tampered"),
    ("tampered", RepeatsTheSecret, "repeat the secret"),
]


@pytest.mark.parametrize(("check", "broken", "words"), BROKEN)
async def test_a_broken_promise_is_caught(check, broken, words):
    with pytest.raises(AssertionError, match=words):
        await getattr(authenticator, f"check_{check}")(broken(), GOOD)


def test_every_check_has_something_to_catch():
    assert {f"check_{name}" for name, _, _ in BROKEN} == {check.__name__ for check in authenticator.CHECKS}
