"""What a credential may do, and who may say so: rules, without a database."""

import pytest
from attrs import evolve

from lightphon_core.accounts.secrets import Kind
from lightphon_core.accounts.terms import (
    ALLOWED_SCOPES,
    MAX_LIFETIME_US,
    MAX_LIMIT,
    OWN_SCOPES,
    Terms,
    as_utc,
    check_grant,
    grantable,
    valid_terms,
)
from lightphon_core.errors import InvalidRequest, PermissionDenied
from lightphon_core.types import Filters, Principal, RateLimits, Scope

AT = 1_800_000_000_000_000
INFERENCE, NODE, ACCOUNT, MANAGE, ADMIN = (
    frozenset({scope}) for scope in (Scope.INFERENCE, Scope.NODE, Scope.ACCOUNT, Scope.MANAGE, Scope.ADMIN)
)
MAY_HAVE = {
    Kind.API_KEY: INFERENCE | ACCOUNT | MANAGE | ADMIN,
    Kind.AGENT_TOKEN: INFERENCE,
    Kind.NODE_TOKEN: NODE,
}


def valid(terms, kind=Kind.API_KEY, *, admin=True, before=None):
    return valid_terms(terms, kind, at=AT, admin=admin, before=before)


@pytest.mark.parametrize("kind", list(Kind))
def test_scopes_of_each_kind(kind):
    for scope in Scope:
        if scope in MAY_HAVE[kind]:
            assert valid(Terms(scopes=frozenset({scope})), kind).scopes == {scope}
        else:
            with pytest.raises(InvalidRequest) as refused:
                valid(Terms(scopes=frozenset({scope}) | OWN_SCOPES[kind]), kind)
            assert refused.value.param == "scopes"
    assert valid(Terms(), kind).scopes == OWN_SCOPES[kind]
    assert OWN_SCOPES[kind] <= ALLOWED_SCOPES[kind]
    with pytest.raises(InvalidRequest):
        valid(Terms(scopes=frozenset()), kind)


def test_a_key_for_admin_takes_an_administrator():
    terms = Terms(scopes=ADMIN)
    assert valid(terms) == terms
    with pytest.raises(InvalidRequest, match="administrator"):
        valid(terms, admin=False)


@pytest.mark.parametrize(
    ("param", "terms"),
    [
        ("name", Terms("a\x1b[31m")),
        ("name", Terms("a\n")),
        ("name", Terms("a" * 65)),
        ("expires_at", Terms(expires_at=AT)),
        ("expires_at", Terms(expires_at=-1)),
        ("expires_at", Terms(expires_at=AT + MAX_LIFETIME_US + 1)),
        ("models", Terms(models=frozenset())),
        ("models", Terms(models=frozenset(map(str, range(65))))),
        ("models", Terms(models=frozenset({""}))),
        ("models", Terms(models=frozenset({"m" * 201}))),
        ("models", Terms(models=frozenset({"a\x00"}))),
        ("models", Terms(models=frozenset({"half \ud800"}))),
        ("models", Terms(models=frozenset({"m", "auto"}))),
        ("models", Terms(models=frozenset({"auto:fast"}))),
        ("requests_per_minute", Terms(limits=RateLimits(requests_per_minute=0))),
        ("tokens_per_minute", Terms(limits=RateLimits(tokens_per_minute=-1))),
        ("concurrent_requests", Terms(limits=RateLimits(concurrent_requests=MAX_LIMIT + 1))),
        *(("used_by", Terms(used_by=word)) for word in ("", "a b", "a,b", "openclaw\n", "c\u2019law", "w" * 33)),
    ],
)
def test_what_terms_cannot_be(param, terms):
    with pytest.raises(InvalidRequest) as refused:
        valid(terms)
    assert refused.value.param == param


def test_bounds_belong_to_what_is_allowed():
    widest = Terms(
        "n" * 64,
        INFERENCE,
        AT + MAX_LIFETIME_US,
        frozenset("m" * 198 + f"{number:02}" for number in range(64)),
        RateLimits(1, MAX_LIMIT, 1),
    )
    assert valid(widest) == widest
    assert valid(evolve(widest, expires_at=AT + 1)).expires_at == AT + 1


def test_a_node_token_asks_for_nothing():
    for terms in (
        Terms(models=frozenset({"m"})),
        Terms(limits=RateLimits(concurrent_requests=1)),
        Terms(filters=Filters(limit=1)),
        Terms(used_by="openclaw"),
    ):
        assert valid(terms, Kind.AGENT_TOKEN)
        with pytest.raises(InvalidRequest, match="asks for nothing"):
            valid(terms, Kind.NODE_TOKEN)


def test_one_that_has_expired_may_keep_its_time_or_get_another_to_come():
    before = Terms("old", expires_at=AT - 5)
    assert valid(Terms("new", expires_at=AT - 5), before=before).name == "new"
    assert valid(Terms("new"), before=before).expires_at is None
    with pytest.raises(InvalidRequest):
        valid(Terms("new", expires_at=AT - 4), before=before)


SESSION = Principal("acc", "sess_1", ACCOUNT)
OWNER = Principal("acc", "sess_1", ACCOUNT | MANAGE)
KEY = Principal("acc", "cred_1", INFERENCE | MANAGE)


@pytest.mark.parametrize(
    ("principal", "scopes"),
    [
        (SESSION, ACCOUNT | INFERENCE),
        (OWNER, ACCOUNT | MANAGE | INFERENCE | NODE),
        (evolve(OWNER, scopes=OWNER.scopes | ADMIN), ACCOUNT | MANAGE | INFERENCE | NODE | ADMIN),
        (KEY, INFERENCE | MANAGE | NODE),
        (evolve(KEY, scopes=MANAGE), MANAGE | NODE),
        (evolve(KEY, scopes=INFERENCE), INFERENCE),
    ],
)
def test_nobody_grants_what_it_lacks(principal, scopes):
    assert grantable(principal) == scopes
    for scope in Scope:
        terms = Terms(scopes=frozenset({scope}))
        if scope in scopes:
            check_grant(principal, Kind.API_KEY, terms)
        else:
            with pytest.raises(PermissionDenied, match=scope):
                check_grant(principal, Kind.API_KEY, terms)


def test_a_narrow_key_makes_no_wider_one():
    narrow = evolve(KEY, models=frozenset({"a", "b"}), expires_at=AT)
    check_grant(narrow, Kind.API_KEY, Terms(models=frozenset({"a"}), expires_at=AT))
    check_grant(narrow, Kind.NODE_TOKEN, Terms(expires_at=AT))
    for kind, wider in (
        (Kind.API_KEY, Terms(expires_at=AT)),
        (Kind.API_KEY, Terms(models=frozenset({"a", "c"}), expires_at=AT)),
        (Kind.API_KEY, Terms(models=frozenset({"a"}))),
        (Kind.API_KEY, Terms(models=frozenset({"a"}), expires_at=AT + 1)),
        (Kind.NODE_TOKEN, Terms()),
    ):
        check_grant(KEY, kind, wider)
        with pytest.raises(PermissionDenied):
            check_grant(narrow, kind, wider)


def test_a_limited_key_makes_none_that_ask():
    limited = evolve(KEY, limits=RateLimits(requests_per_minute=10))
    check_grant(limited, Kind.NODE_TOKEN, Terms())
    for kind in (Kind.API_KEY, Kind.AGENT_TOKEN):
        with pytest.raises(PermissionDenied, match="its own limits"):
            check_grant(limited, kind, Terms(limits=RateLimits(requests_per_minute=1)))


def test_a_key_that_a_gateway_uses_makes_none_that_is_not_marked_so():
    assert valid(Terms(used_by="OpenClaw")).used_by == "openclaw"
    marked = evolve(KEY, used_by="openclaw")
    check_grant(marked, Kind.NODE_TOKEN, Terms())
    for kind in (Kind.API_KEY, Kind.AGENT_TOKEN):
        check_grant(marked, kind, Terms(used_by="OpenClaw"))
        check_grant(KEY, kind, Terms(used_by="openclaw"))
        for used_by in (None, "", "other"):
            with pytest.raises(PermissionDenied, match="used by openclaw"):
                check_grant(marked, kind, Terms(used_by=used_by))


def test_times_as_people_read_them():
    assert as_utc(AT) == "2027-01-15 08:00 UTC"
