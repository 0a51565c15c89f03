"""Accounts and credentials: made, found by their secret alone, revoked; and no secret at rest."""

import asyncio

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from lightphon_core.accounts import credentials, people
from lightphon_core.accounts.authenticators import AgentTokens, ApiKeys, BuiltinAuthenticators, NodeTokens, Sessions
from lightphon_core.accounts.credentials import MOST_OF_AN_ACCOUNT
from lightphon_core.accounts.lookups import SecretLookups
from lightphon_core.accounts.secrets import Kind, hash_secret, is_well_formed, new_secret
from lightphon_core.accounts.sessions import COOKIE, open_session
from lightphon_core.accounts.terms import Terms
from lightphon_core.errors import InvalidRequest, StorageUnavailable, Unauthenticated
from lightphon_core.host import Host
from lightphon_core.storage.schema import CREDENTIAL_KINDS, metadata
from lightphon_core.types import Credentials, RateLimits, Scope

NOW = 1_800_000_000.25
AT = 1_800_000_000_250_000
LAPTOP = Terms("laptop")
NARROW = Terms(
    "narrow",
    frozenset({Scope.INFERENCE, Scope.MANAGE}),
    AT + 60_000_000,
    frozenset({"b/two", 'a "one"'}),
    RateLimits(60, 1000, 2),
)


class StoppedClock:
    def __init__(self, time=NOW):
        self.time = time

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


@pytest.fixture
def make(database):
    """Makes a credential of a kind for alice, and gives it with its secret."""
    with database.transaction() as connection:
        alice = people.create_account(connection, "alice", now=NOW)

    def make(kind, terms=LAPTOP):
        with database.transaction() as connection:
            return credentials.create_credential(connection, alice, kind, now=NOW, terms=terms)

    return make


def bearer(secret, **more):
    return Credentials({"authorization": f"Bearer {secret}"}, **more)


def over(database, authenticator, clock=None):
    """An authenticator of this class."""
    return authenticator(SecretLookups(database), clock or StoppedClock())


def carried(kind, secret):
    """The credentials of a connection that brings `secret` where its kind belongs."""
    return Credentials(path_token=secret) if kind is Kind.AGENT_TOKEN else bearer(secret)


AUTHENTICATORS = {Kind.API_KEY: ApiKeys, Kind.AGENT_TOKEN: AgentTokens, Kind.NODE_TOKEN: NodeTokens}


@pytest.mark.parametrize("kind", list(Kind))
def test_secrets(kind):
    made = {new_secret(kind) for _ in range(200)}
    assert len(made) == 200
    for secret in made:
        assert secret.startswith(kind.prefix)
        assert secret[3:].isalnum()
        assert secret.isascii()
        assert is_well_formed(kind, secret)
        assert not any(is_well_formed(other, secret) for other in Kind if other is not kind)
        assert secret not in hash_secret(secret)


@given(st.integers(0, 44), st.characters(codec="ascii", categories=["L", "N"]))
def test_a_typo_is_told_apart(place, character):
    secret = new_secret(Kind.API_KEY)
    typo = secret[:place] + character + secret[place + 1 :]
    assert is_well_formed(Kind.API_KEY, typo) == (typo == secret)
    assert not is_well_formed(Kind.API_KEY, secret[:place])
    assert not is_well_formed(Kind.API_KEY, secret + character)


@given(st.text())
def test_any_text_may_be_asked_about(text):
    for kind in Kind:
        assert not is_well_formed(kind, text)
        assert not is_well_formed(kind, kind.prefix + text)


def test_kinds_are_those_of_the_schema():
    assert tuple(kind.value for kind in Kind) == CREDENTIAL_KINDS


def test_accounts(database):
    with database.transaction() as connection:
        bob = people.create_account(connection, "bob@example.org", now=NOW + 1)
        alice = people.create_account(connection, "alice", now=NOW)
        assert alice.created_at == 1_800_000_000_250_000
        assert people.list_accounts(connection) == [alice, bob]
        assert people.get_account(connection, "alice") == alice
        for name in ("alice", "", " ", "-x", "a b", "a\n", "é", "a" * 65):
            with pytest.raises(InvalidRequest):
                people.create_account(connection, name, now=NOW)
        with pytest.raises(InvalidRequest, match="no account named 'carol'"):
            people.get_account(connection, "carol")


def test_credentials_are_listed_and_revoked_for_good(database, make):
    key, _ = make(Kind.API_KEY)
    token, _ = make(Kind.NODE_TOKEN)
    with database.transaction() as connection:
        bob = people.create_account(connection, "bob", now=NOW)
        theirs, _ = credentials.create_credential(connection, bob, Kind.API_KEY, now=NOW + 1)
        assert credentials.list_credentials(connection, kind=Kind.API_KEY) == [key, theirs]
        assert credentials.list_credentials(connection, account_id=bob.id) == [theirs]
        revoked = credentials.revoke_credential(connection, Kind.API_KEY, key.id, now=NOW + 5)
        assert revoked.revoked_at == key.created_at + 5_000_000
        assert credentials.revoke_credential(connection, Kind.API_KEY, key.id, now=NOW + 9) == revoked
        assert credentials.list_credentials(connection, kind=Kind.API_KEY) == [revoked, theirs]
        assert credentials.list_credentials(connection, kind=Kind.API_KEY, revoked=False) == [theirs]
        with pytest.raises(InvalidRequest, match="is the id of a node token, not an API key") as refused:
            credentials.revoke_credential(connection, Kind.API_KEY, token.id, now=NOW)
        assert refused.value.code == "not_found"


def test_terms_are_kept_and_changed(database, make):
    made, secret = make(Kind.API_KEY, NARROW)
    assert made.terms == NARROW
    with database.transaction() as connection:
        assert credentials.find_by_secret(connection, Kind.API_KEY, secret) == made
        wide = Terms("wide")
        changed = credentials.change_credential(connection, made.account_id, Kind.API_KEY, made.id, wide, now=NOW)
        assert changed == evolve(made, terms=evolve(wide, scopes=frozenset({Scope.INFERENCE})))
        assert credentials.find_by_secret(connection, Kind.API_KEY, secret) == changed
        late = evolve(NARROW, expires_at=AT)
        with pytest.raises(InvalidRequest, match="future"):
            credentials.change_credential(connection, made.account_id, Kind.API_KEY, made.id, late, now=NOW)
        credentials.revoke_credential(connection, Kind.API_KEY, made.id, now=NOW)
        with pytest.raises(InvalidRequest, match="revoked") as refused:
            credentials.change_credential(connection, made.account_id, Kind.API_KEY, made.id, NARROW, now=NOW)
        assert refused.value.code == "credential_revoked"


def test_another_accounts_credential_is_as_none_at_all(database, make):
    made, secret = make(Kind.API_KEY)
    said = set()
    with database.transaction() as connection:
        bob = people.create_account(connection, "bob", now=NOW)
        for ask in (
            lambda id_: credentials.get_credential(connection, bob.id, Kind.API_KEY, id_),
            lambda id_: credentials.change_credential(connection, bob.id, Kind.API_KEY, id_, LAPTOP, now=NOW),
            lambda id_: credentials.revoke_credential(connection, Kind.API_KEY, id_, now=NOW, account_id=bob.id),
        ):
            for id_ in (made.id, "cred_" + "x" * 16, "", "\x00", "\ud800", secret):
                with pytest.raises(InvalidRequest) as refused:
                    ask(id_)
                said.add((refused.value.message, refused.value.code, refused.value.param))
        assert said == {("There is no API key with this id.", "not_found", "id")}
        assert credentials.get_credential(connection, made.account_id, Kind.API_KEY, made.id) == made


def test_an_account_has_so_many_and_no_more(database, make, monkeypatch):
    monkeypatch.setattr(credentials, "MOST_OF_AN_ACCOUNT", 2)
    assert MOST_OF_AN_ACCOUNT == 200
    make(Kind.NODE_TOKEN)
    key, _ = make(Kind.API_KEY)
    with pytest.raises(InvalidRequest, match="at most 2 keys and tokens"):
        make(Kind.API_KEY)
    with database.transaction() as connection:
        bob = people.create_account(connection, "bob", now=NOW)
        credentials.create_credential(connection, bob, Kind.API_KEY, now=NOW)
        credentials.revoke_credential(connection, Kind.API_KEY, key.id, now=NOW)
    make(Kind.API_KEY)


def test_a_secret_is_found_as_what_it_is(database, make):
    token, secret = make(Kind.NODE_TOKEN)
    with database.transaction() as connection:
        assert credentials.find_by_secret(connection, Kind.NODE_TOKEN, secret) == token
        assert credentials.find_by_secret(connection, Kind.API_KEY, secret) is None
        assert credentials.find_by_secret(connection, Kind.NODE_TOKEN, new_secret(Kind.NODE_TOKEN)) is None


def test_no_secret_at_rest(database, make):
    secrets = [make(kind)[1] for kind in Kind]
    with database.snapshot() as connection:
        stored = [
            str(tuple(row)).encode() for table in metadata.sorted_tables for row in connection.execute(select(table))
        ]
    if database.path is not None:
        stored += [path.read_bytes() for path in database.path.parent.iterdir()]
    assert any(hash_secret(secrets[0]).encode() in content for content in stored)  # it is here that they are held
    for secret in secrets:
        for content in stored:
            assert secret.encode() not in content
            assert secret[3:15].encode() not in content


@pytest.mark.parametrize(
    ("kind", "scope"),
    [(Kind.API_KEY, Scope.INFERENCE), (Kind.AGENT_TOKEN, Scope.INFERENCE), (Kind.NODE_TOKEN, Scope.NODE)],
)
async def test_authenticating(database, make, kind, scope):
    authenticator = over(database, AUTHENTICATORS[kind])
    credential, secret = make(kind)
    principal = await authenticator.authenticate(carried(kind, secret))
    assert principal is not None
    assert (principal.account_id, principal.credential_id) == (credential.account_id, credential.id)
    assert principal.scopes == {scope}

    with pytest.raises(
        Unauthenticated, match=r"unknown here\. Create one with `lightphon .+`, or on the page /(router|nodes) "
    ) as caught:
        await authenticator.authenticate(carried(kind, new_secret(kind)))
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(Unauthenticated, match="typo or was cut off") as caught:
        await authenticator.authenticate(carried(kind, secret[:-1]))
    assert secret[:-1] not in str(caught.value)

    def revoke(connection):
        return credentials.revoke_credential(connection, kind, credential.id, now=NOW)

    await database.write(revoke)
    with pytest.raises(Unauthenticated, match="was revoked"):  # the very next request
        await authenticator.authenticate(carried(kind, secret))


async def test_a_principal_has_the_terms_of_its_credential_until_they_end(database, make):
    clock = StoppedClock()
    authenticator = over(database, ApiKeys, clock)
    _, secret = make(Kind.API_KEY, NARROW)
    principal = await authenticator.authenticate(bearer(secret))
    assert (principal.scopes, principal.models, principal.limits) == (NARROW.scopes, NARROW.models, NARROW.limits)
    clock.time = NOW + 59.999
    assert await authenticator.authenticate(bearer(secret)) == principal
    clock.time = NOW + 60
    with pytest.raises(Unauthenticated, match=r"expired at 2027-01-15 08:01 UTC\. Create one with") as caught:
        await authenticator.authenticate(bearer(secret))
    assert caught.value.code == "expired_api_key"


async def test_admin_lasts_as_long_as_the_account_is_an_administrators(database):
    terms = Terms(scopes=frozenset({Scope.ADMIN, Scope.MANAGE}))
    with database.transaction() as connection:
        root = people.create_account(connection, "root", now=NOW, admin=True)
        made, secret = credentials.create_credential(connection, root, Kind.API_KEY, now=NOW, terms=terms)
        token = open_session(connection, root.id, now=NOW, lifetime_s=1000, recent_s=1)
    shown = [(ApiKeys, bearer(secret)), (Sessions, Credentials(cookies={COOKIE: token}))]

    async def scopes():
        found = [await over(database, cls).authenticate(each) for cls, each in shown]
        return [each.scopes for each in found]

    assert await scopes() == [{Scope.ADMIN, Scope.MANAGE}, {Scope.ADMIN, Scope.MANAGE, Scope.ACCOUNT}]
    await database.write(lambda connection: people.set_admin(connection, root, None))
    assert await scopes() == [{Scope.MANAGE}, {Scope.MANAGE, Scope.ACCOUNT}]
    with database.transaction() as connection, pytest.raises(InvalidRequest, match="administrator"):
        credentials.change_credential(connection, root.id, Kind.API_KEY, made.id, terms, now=NOW)


async def test_what_is_not_theirs(database, make):
    keys = {kind: make(kind)[1] for kind in Kind}
    for kind, cls in AUTHENTICATORS.items():
        authenticator = over(database, cls)
        strangers = [
            Credentials(),
            bearer(""),
            bearer("sk-other"),
            Credentials({"authorization": f"Basic {keys[kind]}"}),
        ]
        strangers += [carried(kind, secret) for other, secret in keys.items() if other is not kind]
        for stranger in strangers:
            assert await authenticator.authenticate(stranger) is None
    assert await over(database, AgentTokens).authenticate(bearer(keys[Kind.AGENT_TOKEN])) is None


async def test_a_path_token_beats_the_header(database, make):
    (_, key), (token, secret) = make(Kind.API_KEY), make(Kind.AGENT_TOKEN)
    both = bearer(key, path_token=secret)
    assert await over(database, ApiKeys).authenticate(both) is None
    assert await over(database, NodeTokens).authenticate(bearer(make(Kind.NODE_TOKEN)[1], path_token=secret)) is None
    principal = await over(database, AgentTokens).authenticate(both)
    assert principal is not None
    assert principal.credential_id == token.id
    # A bad one is not made good by a valid key in the header.
    assert await over(database, ApiKeys).authenticate(bearer(key, path_token="other")) is None


async def test_database_trouble_is_not_a_wrong_key(database, make):
    _, secret = make(Kind.API_KEY)
    await asyncio.to_thread(database.close)
    with pytest.raises(StorageUnavailable):
        await over(database, ApiKeys).authenticate(bearer(secret))


def test_the_plugin_brings_them_all(database):
    host = Host("accounts", None, None, StoppedClock(), None, None, None)
    brought = BuiltinAuthenticators(database, host).register_authenticators()
    assert [each.name for each in brought] == ["api_keys", "agent_tokens", "node_tokens", "sessions"]
