"""Headers to scope: where credentials may be, how they must agree, and that nothing else ever makes a scope."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers as StarletteHeaders

from partywall.errors import (
    BadRequest,
    Denied,
    IdentityUnavailable,
    InvalidCredential,
    MissingIdentity,
    TenantMismatch,
)
from partywall.identity import CREDENTIAL_HEADERS, TENANT_HEADERS
from partywall.identity import authenticator as authenticator_module
from partywall.tenancy import CredentialKind, TenantScope

if TYPE_CHECKING:
    from tests.identity.conftest import Keys, OpenDoor, Provider

GATEWAY_KEY = b"x-gateway-key"


# -- API keys in their places ---


@pytest.mark.parametrize("place", CREDENTIAL_HEADERS)
@pytest.mark.parametrize("scheme", [b"", b"Bearer ", b"bearer "])
def test_a_key_in_any_place_is_its_tenant(door: OpenDoor, keys: Keys, place: bytes, scheme: bytes) -> None:
    opened = door()
    for key, tenant in ((keys.alpha, "alpha"), (keys.beta, "beta")):
        scope = opened.admit((b"host", b"gw"), (place, scheme + key))
        assert (scope.tenant, scope.group, scope.user, scope.role) == (tenant, tenant, None, None)
        assert scope.credential_kind is CredentialKind.API_KEY
        assert scope.credential_id.startswith("key:")
        assert len(scope.credential_id) == len("key:") + 12


def test_a_key_brings_its_group(door: OpenDoor, keys: Keys) -> None:
    assert door().admit((b"x-api-key", keys.alpha_batch)).group == "alpha-batch"


def test_no_credential_is_missing_identity(door: OpenDoor) -> None:
    opened = door()
    opened.refuse(MissingIdentity, "no credential")
    opened.refuse(MissingIdentity, "no credential", (b"x-org-id", b"alpha"), (b"x-user-id", b"ann"))
    opened.refuse(MissingIdentity, "no credential", (b"proxy-authorization", b"x"), (b"cookie", b"authorization=x"))


@pytest.mark.parametrize("value", [b"", b"Bearer", b"Bearer ", b"bearer   "])
def test_an_empty_credential_is_nobody(door: OpenDoor, keys: Keys, value: bytes) -> None:
    opened = door()
    opened.refuse(MissingIdentity, "`authorization` is empty", (b"authorization", value))
    opened.refuse(MissingIdentity, "is empty", (b"authorization", value), (b"x-api-key", keys.alpha))
    opened = door(key_header=GATEWAY_KEY)
    opened.refuse(MissingIdentity, "is empty", (GATEWAY_KEY, value), (b"authorization", keys.alpha))


@pytest.mark.parametrize(
    "value",
    [b"pw_nobody", b"pw_alpha-ke", b"pw_alpha-key ", b"PW_ALPHA-KEY", b"Basic pw_alpha-key", b"Basic", b"null", b"*"],
)
def test_an_unknown_credential_is_refused_alike(door: OpenDoor, value: bytes) -> None:
    error = door().refuse(InvalidCredential, ".", (b"authorization", value))
    assert error.status == 401
    assert "pw_" not in str(error)


def test_with_no_keys_at_all_nobody_gets_in(door: OpenDoor, keys: Keys) -> None:
    door(keys={}).refuse(InvalidCredential, "known", (b"authorization", keys.alpha))


def test_duplicate_headers(door: OpenDoor, keys: Keys) -> None:
    opened = door()
    opened.admit((b"x-api-key", keys.alpha), (b"x-api-key", keys.alpha))
    opened.refuse(InvalidCredential, "twice", (b"x-api-key", keys.alpha), (b"x-api-key", keys.beta))
    opened.refuse(InvalidCredential, "twice", (b"x-api-key", keys.alpha), (b"X-API-Key", b"Bearer " + keys.alpha))
    guarded = door(key_header=GATEWAY_KEY)
    pair = ((b"authorization", b"dummy-1"), (b"authorization", b"dummy-2"))
    guarded.refuse(InvalidCredential, "twice", (GATEWAY_KEY, keys.alpha), *pair)


# -- Several places, no authority ---


def test_every_place_must_hold(door: OpenDoor, keys: Keys) -> None:
    for changes in ({}, {"key_header": GATEWAY_KEY}):
        opened = door(**changes)
        opened.admit((b"authorization", b"Bearer " + keys.alpha), (b"x-api-key", keys.alpha))
        for other in (keys.unknown, b"Basic eDp5", b"a.b.c"):
            opened.refuse(InvalidCredential, ".", (b"authorization", other), (b"x-api-key", keys.alpha))
            opened.refuse(InvalidCredential, ".", (b"authorization", keys.alpha), (b"api-key", other))
        opened.refuse(TenantMismatch, "belongs to", (b"authorization", keys.alpha), (b"x-api-key", keys.beta))


def test_keys_of_two_groups_are_ambiguous(door: OpenDoor, keys: Keys) -> None:
    pair = (b"authorization", keys.alpha), (b"x-api-key", keys.alpha_batch)
    door().refuse(InvalidCredential, "two groups", *pair)


# -- The configured header is the authority ---


def test_the_configured_header_must_hold(door: OpenDoor, keys: Keys) -> None:
    opened = door(key_header=GATEWAY_KEY)
    assert opened.admit((GATEWAY_KEY, keys.beta)).tenant == "beta"
    assert opened.admit((GATEWAY_KEY, b"Bearer " + keys.beta)).tenant == "beta"
    opened.refuse(InvalidCredential, "known", (GATEWAY_KEY, keys.unknown))
    opened.refuse(InvalidCredential, "known", (GATEWAY_KEY, keys.unknown), (b"authorization", keys.alpha))


@pytest.mark.parametrize("dummy", [b"Bearer sk-dummy", b"Bearer", b"", b"Basic eDp5", b"a.b.c", b"\xff", b"x" * 9000])
def test_what_nobody_knows_beside_it_says_nothing(door: OpenDoor, keys: Keys, dummy: bytes) -> None:
    opened = door(key_header=GATEWAY_KEY)
    scope = opened.admit((b"authorization", dummy), (b"x-api-key", b"dummy"), (GATEWAY_KEY, keys.alpha))
    assert (scope.tenant, scope.group) == ("alpha", "alpha")


def test_what_is_known_beside_it_must_agree(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    opened = door(provider.settings(), key_header=GATEWAY_KEY)
    alpha = (GATEWAY_KEY, keys.alpha)
    for place in CREDENTIAL_HEADERS:
        opened.refuse(TenantMismatch, "belongs to `alpha`", alpha, (place, keys.beta))
        opened.refuse(TenantMismatch, "to `beta`", alpha, (place, provider.token(org_id="beta", group=None)))
        opened.admit(alpha, (place, keys.alpha))
        opened.admit(alpha, (place, provider.token()))
        assert opened.admit(alpha, (place, keys.alpha_batch)).group == "alpha"


def test_authorization_itself_can_be_the_authority(door: OpenDoor, keys: Keys) -> None:
    opened = door(key_header=b"authorization")
    opened.admit((b"authorization", b"Bearer " + keys.alpha), (b"x-api-key", b"dummy"))
    opened.refuse(InvalidCredential, "known", (b"authorization", b"Bearer dummy"), (b"x-api-key", keys.alpha))


def test_the_configured_header_is_no_credential_where_it_is_not_configured(door: OpenDoor, keys: Keys) -> None:
    door().refuse(MissingIdentity, "no credential", (GATEWAY_KEY, keys.alpha))


# -- Tenant headers ---


@pytest.mark.parametrize("name", TENANT_HEADERS)
def test_a_tenant_header_agrees_or_is_refused(door: OpenDoor, keys: Keys, name: bytes) -> None:
    opened = door()
    key = (b"authorization", keys.alpha)
    opened.admit(key, (name, b"alpha"))
    opened.admit(key, (name, b"alpha"), (name, b"alpha"))
    others = [b"beta", b"", b"ALPHA", b"Alpha", b" alpha", b"alpha ", b"alpha,alpha", b"alph", b"alphaa", b"*", b"\xff"]
    for other in others:
        for headers in ([(name, other)], [(name, b"alpha"), (name, other)], [(name.upper(), other)]):
            error = opened.refuse(TenantMismatch, "belongs to `alpha`", key, *headers)
            assert error.status == 403


def test_two_tenant_headers_that_disagree_are_refused_in_any_order(door: OpenDoor, keys: Keys) -> None:
    opened = door()
    pair = [(b"x-org-id", b"alpha"), (b"x-tenant-id", b"beta")]
    for key in (keys.alpha, keys.beta):
        for headers in (pair, pair[::-1]):
            opened.refuse(TenantMismatch, "a header says", (b"authorization", key), *headers)


def test_other_headers_with_a_tenants_name_mean_nothing(door: OpenDoor, keys: Keys) -> None:
    assert door().admit((b"authorization", keys.alpha), (b"x-org", b"beta"), (b"tenant", b"beta")).tenant == "alpha"


def test_a_refusal_says_in_whose_record_it_belongs(door: OpenDoor, keys: Keys) -> None:
    opened = door()
    refused = opened.refuse(TenantMismatch, "header", (b"authorization", keys.alpha), (b"x-org-id", b"beta"))
    assert refused.recorded_for == "alpha"
    assert opened.refuse(InvalidCredential, "known", (b"authorization", keys.unknown)).recorded_for is None
    two = opened.refuse(TenantMismatch, "belongs", (b"authorization", keys.alpha), (b"x-api-key", keys.beta))
    assert two.recorded_for is None


# -- Users and roles ---


def test_the_tenant_vouches_for_its_users_and_roles(door: OpenDoor, keys: Keys) -> None:
    key = (b"authorization", keys.alpha)
    scope = door().admit(key, (b"x-user-id", b"ann"), (b"x-user", b"ann"), (b"x-role", "Ärztin".encode()))
    assert (scope.user, scope.role) == ("ann", "Ärztin")


@pytest.mark.parametrize("name", [b"x-user-id", b"x-user", b"x-user-role", b"x-role"])
def test_malformed_users_and_roles_are_bad_requests(door: OpenDoor, keys: Keys, name: bytes) -> None:
    opened = door()
    for value in (b"", b"a" * 257, b"a\nb", b"\xff", "a\u202eb".encode()):
        error = opened.refuse(BadRequest, "header", (b"authorization", keys.alpha), (name, value))
        assert error.recorded_for == "alpha"
    opened.refuse(BadRequest, "disagree", (b"authorization", keys.alpha), (name, b"one"), (name, b"two"))


def test_who_is_nobody_learns_nothing_from_a_malformed_user(door: OpenDoor, keys: Keys) -> None:
    door().refuse(InvalidCredential, "known", (b"authorization", keys.unknown), (b"x-user", b""))


def test_user_headers_must_agree_with_the_token(door: OpenDoor, provider: Provider) -> None:
    opened = door(provider.settings(role_claim="role"))
    token = (b"authorization", b"Bearer " + provider.token(role="clerk"))
    scope = opened.admit(token, (b"x-user-id", b"ann"), (b"x-user-role", b"clerk"))
    assert (scope.user, scope.role) == ("ann", "clerk")
    assert opened.admit(token).role == "clerk"
    opened.refuse(Denied, "user header says 'bob'", token, (b"x-user-id", b"bob"))
    opened.refuse(Denied, "role header says 'admin'", token, (b"x-user-role", b"admin"))
    opened.refuse(Denied, "role header says 'Clerk'", token, (b"x-user-role", b"Clerk"))


def test_a_token_of_several_roles_needs_a_choice_among_them(door: OpenDoor, provider: Provider) -> None:
    opened = door(provider.settings(role_claim="roles"))
    token = (b"authorization", provider.token(roles=["clerk", "editor"]))
    assert opened.admit(token, (b"x-role", b"editor")).role == "editor"
    opened.refuse(Denied, "several roles", token)
    opened.refuse(Denied, "role header says 'admin'", token, (b"x-role", b"admin"))


def test_a_header_beside_a_token_that_is_silent_is_hearsay(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    """An end user who holds a token must not pick a role; the tenant's own back end, with its key, may."""
    opened = door(provider.settings(role_claim="role"), key_header=GATEWAY_KEY)
    token = (b"authorization", provider.token(sub=None))
    opened.refuse(Denied, "names no role", token, (b"x-role", b"admin"))
    opened.refuse(Denied, "names no user", token, (b"x-user", b"root"))
    assert opened.admit(token).role is None
    scope = opened.admit(token, (GATEWAY_KEY, keys.alpha), (b"x-role", b"admin"), (b"x-user", b"root"))
    assert (scope.user, scope.role) == ("root", "admin")


def test_an_issuer_that_does_not_speak_for_roles_leaves_them_to_the_header(door: OpenDoor, provider: Provider) -> None:
    opened = door(provider.settings(role_claim=None))
    assert opened.admit((b"authorization", provider.token(role="x")), (b"x-role", b"clerk")).role == "clerk"


# -- A key and a token together ---


def test_a_key_gives_the_group_and_a_token_the_user(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    opened = door(provider.settings(role_claim="role"))
    token = provider.token(role="clerk", group=None)
    scope = opened.admit((b"x-api-key", keys.alpha_batch), (b"authorization", b"Bearer " + token))
    assert (scope.tenant, scope.group, scope.user, scope.role) == ("alpha", "alpha-batch", "ann", "clerk")
    assert scope.credential_kind is CredentialKind.API_KEY
    assert scope.credential_id.startswith("key:")


def test_a_key_does_not_outvote_the_tokens_user(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    opened = door(provider.settings())
    pair = (b"x-api-key", keys.alpha), (b"authorization", provider.token())
    opened.refuse(Denied, "user header says 'bob'", *pair, (b"x-user", b"bob"))


def test_a_key_and_a_token_of_two_tenants_are_refused(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    opened = door(provider.settings())
    opened.refuse(TenantMismatch, "belongs", (b"x-api-key", keys.beta), (b"authorization", provider.token()))


def test_a_bad_token_beside_a_good_key_is_refused(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    opened = door(provider.settings())
    expired = provider.token(exp=1)
    opened.refuse(InvalidCredential, "expired", (b"x-api-key", keys.alpha), (b"authorization", expired))


def test_two_tokens_must_say_the_same(door: OpenDoor, provider: Provider) -> None:
    opened = door(provider.settings())
    first, again = provider.token(jti="1"), provider.token(jti="2")
    opened.admit((b"authorization", first), (b"x-api-key", again))
    bob, batch = provider.token(sub="bob"), provider.token(group="alpha-batch")
    for other in (bob, batch):
        opened.refuse(InvalidCredential, "tokens for different", (b"authorization", first), (b"x-api-key", other))
    beta = provider.token(org_id="beta", group=None)
    opened.refuse(TenantMismatch, "belongs", (b"authorization", first), (b"x-api-key", beta))


def test_an_unverifiable_token_beside_the_authority_closes(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    """Were it ignored, an outage of the issuer would turn the token's user into the header's."""
    provider.server.status = 500
    opened = door(provider.settings(), key_header=GATEWAY_KEY)
    pair = (GATEWAY_KEY, keys.alpha), (b"authorization", provider.token())
    opened.refuse(IdentityUnavailable, "status 500", *pair)


def test_a_token_that_chooses_no_group_among_several(door: OpenDoor, provider: Provider) -> None:
    token = (b"authorization", provider.token(group=None))
    door(provider.settings()).refuse(InvalidCredential, "chooses none", token)


# -- Shapes of headers ---


@pytest.mark.parametrize("kind", [list, tuple, iter, dict, StarletteHeaders])
def test_every_shape_of_headers_signs_in(
    door: OpenDoor, keys: Keys, minted: list[TenantScope], kind: type[Any]
) -> None:
    pairs = [(b"authorization", b"Bearer " + keys.alpha), (b"x-org-id", b"alpha")]
    text = [(name.decode().title(), value.decode()) for name, value in pairs]
    authenticator = door().authenticator
    for headers in (pairs, text):
        shaped = StarletteHeaders(raw=pairs) if kind is StarletteHeaders else kind(headers)
        assert asyncio.run(authenticator.authenticate(shaped)).tenant == "alpha"
        assert authenticator.known(dict(reversed(pairs))) is minted[-1]
    assert len(minted) == 2


# -- Scopes that are kept ---


def test_one_scope_serves_the_same_bytes_and_no_others(door: OpenDoor, keys: Keys, minted: list[TenantScope]) -> None:
    authenticator = door().authenticator

    def scope_of(key: bytes, *more: tuple[bytes, bytes]) -> TenantScope:
        headers = [(b"authorization", b"Bearer " + key), *more]
        return authenticator.known(dict(headers)) or asyncio.run(authenticator.authenticate(headers))

    first = scope_of(keys.alpha, (b"x-user-id", b"ann"), (b"user-agent", b"one"))
    assert scope_of(keys.alpha, (b"x-user-id", b"ann"), (b"user-agent", b"two")) is first
    others = [
        scope_of(keys.alpha),
        scope_of(keys.alpha, (b"x-user-id", b"bob")),
        scope_of(keys.alpha, (b"x-user", b"ann")),
        scope_of(keys.alpha, (b"x-user-id", b"ann"), (b"x-user-role", b"r")),
        scope_of(keys.alpha_batch, (b"x-user-id", b"ann")),
        scope_of(keys.beta, (b"x-user-id", b"ann")),
    ]
    assert len({id(scope) for scope in [first, *others]}) == len(minted) == 7
    assert [scope.tenant for scope in others] == ["alpha"] * 5 + ["beta"]


def test_a_kept_scope_lets_no_disagreement_pass(door: OpenDoor, keys: Keys) -> None:
    opened = door()
    good = [(b"authorization", b"Bearer " + keys.alpha), (b"x-org-id", b"alpha")]
    assert asyncio.run(opened.authenticator.authenticate(good)) is opened.authenticator.known(dict(good))
    for bad, refusal in [
        ([good[0], (b"x-org-id", b"beta")], TenantMismatch),
        ([(b"authorization", b"Bearer " + keys.unknown), good[1]], InvalidCredential),
    ]:
        with pytest.raises(refusal):
            asyncio.run(opened.authenticator.authenticate(bad))
        assert opened.authenticator.known(dict(bad)) is None


def test_a_header_that_came_twice_is_never_known(door: OpenDoor, keys: Keys) -> None:
    """Joined, two values look like one that a client may send; only the whole list tells them apart."""
    authenticator = door().authenticator
    key, org = (b"authorization", b"Bearer " + keys.alpha), (b"x-org-id", b"alpha")
    assert asyncio.run(authenticator.authenticate([key, org, org])).tenant == "alpha"
    assert authenticator.known(dict([key, org])) is None
    assert authenticator.known(dict([key, (b"x-org-id", b"alpha, alpha")])) is None


def test_nothing_is_kept_that_a_token_has_a_part_in(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    """A token expires; one that nobody can verify now may be good, and another tenant's, a moment later."""
    opened = door(provider.settings(), key_header=b"x-gw-key")
    token = (b"authorization", b"Bearer " + provider.token())
    unverifiable = (b"authorization", b"Bearer a.b.c")
    for headers in ([token], [(b"x-gw-key", keys.alpha), token], [(b"x-gw-key", keys.alpha), unverifiable]):
        assert asyncio.run(opened.authenticator.authenticate(headers)).tenant == "alpha"
        assert opened.authenticator.known(dict(headers)) is None


def test_what_is_kept_is_bounded(door: OpenDoor, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator_module, "_MAX_KEPT", 8)
    authenticator = door().authenticator
    for number in range(100):
        headers = [(b"authorization", b"Bearer " + keys.alpha), (b"x-user-id", b"%d" % number)]
        assert asyncio.run(authenticator.authenticate(headers)).user == str(number)
        assert len(authenticator._kept) <= 8


header_lists = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"ab"]), st.text("ab\0", max_size=4)), max_size=4)


@settings(deadline=None)  # a shared machine's pauses are no failure
@given(one=header_lists, other=header_lists)
def test_no_two_lists_of_headers_have_one_digest(one: list[tuple[bytes, str]], other: list[tuple[bytes, str]]) -> None:
    pairs, others = ([(name, text.encode()) for name, text in each] for each in (one, other))
    digest = authenticator_module._digest(pairs)
    assert (digest is None) == (not pairs or any("\0" in text for _, text in one))
    assert digest is None or (digest == authenticator_module._digest(others)) == (pairs == others)


def test_every_refusal_of_a_credential_looks_alike_from_outside(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    opened = door(provider.settings())
    refused = [
        opened.refuse(InvalidCredential, ".", (b"authorization", credential))
        for credential in (
            keys.unknown,
            b"Basic x",
            provider.token(exp=1),
            provider.token(org_id="gamma"),
            provider.token({"alg": "none"}),
            replace(provider, issuer="https://nobody.example").token(),
        )
    ]
    assert len({(error.status, error.code, error.public_message) for error in refused}) == 1
    assert len({str(error) for error in refused}) == len(refused)


def test_no_refusal_repeats_a_credential(door: OpenDoor, keys: Keys, provider: Provider) -> None:
    opened = door(provider.settings())
    token = provider.token(exp=1)
    for credential in (keys.unknown, token):
        error = opened.refuse(InvalidCredential, ".", (b"authorization", credential))
        assert credential.decode() not in str(error)
        assert token.split(b".")[2].decode() not in str(error)
        assert error.__cause__ is None
