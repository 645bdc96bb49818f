"""Verified claims to tenant, group, user and roles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from partywall.errors import InvalidCredential
from partywall.identity import IssuerSettings
from partywall.identity.claims import Identity, credential_id, find_claim, read_claims
from partywall.tenancy import GroupName, TenantId

ALPHA, BETA = TenantId("alpha"), TenantId("beta")
GROUPS = {ALPHA: (GroupName("a1"), GroupName("a2")), BETA: (GroupName("b"),), TenantId("bare"): ()}


def read(claims: dict[str, object], **changes: Any) -> Identity:
    values: dict[str, Any] = {
        "issuer": "https://i",
        "audiences": ("pw",),
        "tenant_claim": "org",
        "jwks_file": Path("k"),
    }
    return read_claims(claims, IssuerSettings(**values | changes), GROUPS)


@pytest.mark.parametrize(
    ("claims", "name", "found"),
    [
        ({"org": "alpha"}, "org", "alpha"),
        ({"app_metadata": {"org_id": "alpha"}}, "app_metadata.org_id", "alpha"),
        ({"a": {"b": {"c": 1}}}, "a.b.c", 1),
        ({"https://example.com/tenant": "alpha"}, "https://example.com/tenant", "alpha"),
        ({"a.b": "exact", "a": {"b": "path"}}, "a.b", "exact"),
        ({"a.b": None, "a": {"b": "path"}}, "a.b", None),
        ({"a": {"b.c": 1}}, "a.b.c", None),
        ({"a": "text"}, "a.b", None),
        ({"a": ["b"]}, "a.b", None),
        ({"a": ["b"]}, "a.0", None),
        ({}, "org", None),
    ],
)
def test_exact_names_win_over_paths(claims: dict[str, object], name: str, found: object) -> None:
    assert find_claim(claims, name) == found


@pytest.mark.parametrize(
    "tenant",
    [
        None,
        "",
        "ALPHA",
        "alpha ",
        "alpha\n",
        "*",
        "alpha,beta",
        ["alpha"],
        {"id": "alpha"},
        5,
        True,
        "\N{CYRILLIC SMALL LETTER A}lpha",
        "alpha\0",
    ],
)
def test_only_a_tenant_id_is_a_tenant(tenant: object) -> None:
    with pytest.raises(InvalidCredential, match="claim `org` is"):
        read({"org": tenant})


def test_tenants_outside_the_document_or_the_issuer_are_refused() -> None:
    with pytest.raises(InvalidCredential, match="not in the document"):
        read({"org": "gamma"})
    with pytest.raises(InvalidCredential, match="may not speak for"):
        read({"org": "beta"}, tenants=frozenset({ALPHA}))
    with pytest.raises(InvalidCredential, match="may not speak for"):
        read({"org": "beta"}, tenants=frozenset())
    assert read({"org": "beta"}, tenants=frozenset({BETA})).tenant == "beta"


def test_the_only_group_is_the_group() -> None:
    assert read({"org": "beta"}).group == "b"
    assert read({"org": "alpha"}).group is None
    assert read({"org": "bare"}).group is None


@pytest.mark.parametrize("group", ["b", "A1", "a1 ", "", ["a1"], 1, {"a1": 1}])
def test_a_group_must_be_one_of_the_tenants(group: object) -> None:
    assert read({"org": "alpha", "group": "a2"}).group == "a2"
    with pytest.raises(InvalidCredential, match="names no group"):
        read({"org": "alpha", "group": group})


def test_a_group_claim_can_be_left_out_of_the_settings() -> None:
    assert read({"org": "beta", "group": "anything"}, group_claim=None).group == "b"
    assert read({"org": "alpha", "team": "a1"}, group_claim="team").group == "a1"


def test_user_and_roles() -> None:
    identity = read({"org": "beta", "sub": "ann", "realm": {"roles": ["clerk", "editor"]}}, role_claim="realm.roles")
    assert identity.user == "ann"
    assert identity.roles == ("clerk", "editor")
    assert read({"org": "beta", "sub": "ann", "role": "clerk"}, role_claim="role").roles == ("clerk",)
    assert read({"org": "beta", "sub": "ann", "role": "clerk"}).roles == ()
    assert read({"org": "beta", "sub": "ann"}, user_claim=None).user is None
    assert read({"org": "beta", "role": []}, role_claim="role").roles == ()


@pytest.mark.parametrize("value", ["", 5, True, {}, ["clerk", 5], [""], [[]], "a\n", "a" * 257, "a\u202eb", "\ud800"])
def test_users_and_roles_of_the_wrong_form_are_refused(value: object) -> None:
    with pytest.raises(InvalidCredential, match="printable text"):
        read({"org": "beta", "sub": "ann", "role": value}, role_claim="role")
    with pytest.raises(InvalidCredential, match="printable text"):
        read({"org": "beta", "uid": value}, user_claim="uid")


def test_a_token_names_one_user() -> None:
    with pytest.raises(InvalidCredential, match="several users"):
        read({"org": "beta", "uid": ["ann", "bob"]}, user_claim="uid")


def test_a_credential_id_names_the_token_and_is_printable() -> None:
    digest = bytes(range(32))
    assert credential_id({"jti": "abc-1"}, digest) == "jwt:abc-1"
    for jti in (None, "", "a\nb", "é", "a" * 65, 5, ["x"]):
        assert credential_id({"jti": jti}, digest) == "jwt:000102030405"
