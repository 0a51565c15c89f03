"""Accounts and credentials: made, found by their secret alone, revoked; and no secret at rest."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from lightphon_core.accounts import credentials, people
from lightphon_core.accounts.authenticators import AgentTokens, ApiKeys, BuiltinAuthenticators, NodeTokens
from lightphon_core.accounts.secrets import Kind, hash_secret, is_well_formed, new_secret
from lightphon_core.errors import InvalidRequest, StorageUnavailable, Unauthenticated
from lightphon_core.host import Host, SystemClock
from lightphon_core.storage.schema import CREDENTIAL_KINDS, metadata
from lightphon_core.types import Credentials, Scope

NOW = 1_800_000_000.25


@pytest.fixture
def make(database):
    """Makes a credential of a kind for alice, and gives it with its secret."""
    with database.transaction() as connection:
        alice = people.create_account(connection, "alice", now=NOW)

    def make(kind):
        with database.transaction() as connection:
            return credentials.create_credential(connection, alice, kind, name="laptop", now=NOW)

    return make


def bearer(secret, **more):
    return Credentials({"authorization": f"Bearer {secret}"}, **more)


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
        assert credentials.list_credentials(connection, account=bob) == [theirs]
        revoked = credentials.revoke_credential(connection, Kind.API_KEY, key.id, now=NOW + 5)
        assert revoked.revoked_at == key.created_at + 5_000_000
        assert credentials.revoke_credential(connection, Kind.API_KEY, key.id, now=NOW + 9) == revoked
        assert credentials.list_credentials(connection, kind=Kind.API_KEY) == [revoked, theirs]
        with pytest.raises(InvalidRequest, match="is no API key, but an id of the kind node token"):
            credentials.revoke_credential(connection, Kind.API_KEY, token.id, now=NOW)
        with pytest.raises(InvalidRequest, match="no API key with the id"):
            credentials.revoke_credential(connection, Kind.API_KEY, "cred_none", now=NOW)
        for name in ("a\x1b[31m", "a\n", "a" * 65):
            with pytest.raises(InvalidRequest):
                credentials.create_credential(connection, bob, Kind.API_KEY, name=name, now=NOW)


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
    authenticator = AUTHENTICATORS[kind](database)
    credential, secret = make(kind)
    principal = await authenticator.authenticate(carried(kind, secret))
    assert principal is not None
    assert (principal.account_id, principal.credential_id) == (credential.account_id, credential.id)
    assert principal.scopes == {scope}

    with pytest.raises(Unauthenticated, match=r"unknown here\. Create one with") as caught:
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


async def test_what_is_not_theirs(database, make):
    keys = {kind: make(kind)[1] for kind in Kind}
    for kind, cls in AUTHENTICATORS.items():
        authenticator = cls(database)
        strangers = [
            Credentials(),
            bearer(""),
            bearer("sk-other"),
            Credentials({"authorization": f"Basic {keys[kind]}"}),
        ]
        strangers += [carried(kind, secret) for other, secret in keys.items() if other is not kind]
        for stranger in strangers:
            assert await authenticator.authenticate(stranger) is None
    assert await AgentTokens(database).authenticate(bearer(keys[Kind.AGENT_TOKEN])) is None


async def test_a_path_token_beats_the_header(database, make):
    (_, key), (token, secret) = make(Kind.API_KEY), make(Kind.AGENT_TOKEN)
    both = bearer(key, path_token=secret)
    assert await ApiKeys(database).authenticate(both) is None
    assert await NodeTokens(database).authenticate(bearer(make(Kind.NODE_TOKEN)[1], path_token=secret)) is None
    principal = await AgentTokens(database).authenticate(both)
    assert principal is not None
    assert principal.credential_id == token.id
    # A bad one is not made good by a valid key in the header.
    assert await ApiKeys(database).authenticate(bearer(key, path_token="other")) is None


async def test_database_trouble_is_not_a_wrong_key(database, make):
    _, secret = make(Kind.API_KEY)
    await asyncio.to_thread(database.close)
    with pytest.raises(StorageUnavailable):
        await ApiKeys(database).authenticate(bearer(secret))


def test_the_plugin_brings_them_all(database):
    host = Host("accounts", None, None, SystemClock(), None, None, None)
    brought = BuiltinAuthenticators(database, host).register_authenticators()
    assert [each.name for each in brought] == ["api_keys", "agent_tokens", "node_tokens", "sessions"]
