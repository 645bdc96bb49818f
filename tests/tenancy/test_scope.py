"""A scope can't be made, changed, copied, sent or subclassed."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from partywall.tenancy import CredentialId, CredentialKind, GroupName, Role, TenantId, TenantScope, UserId
from partywall.tenancy._mint import mint

FIELDS = ("tenant", "group", "credential_kind", "credential_id", "user", "role")


def scope(tenant: str = "alpha") -> TenantScope:
    return mint(
        tenant=TenantId(tenant),
        group=GroupName("g"),
        credential_kind=CredentialKind.API_KEY,
        credential_id=CredentialId("key:0123"),
        user=UserId("ann"),
        role=Role("clerk"),
    )


def test_mint_fills_every_field() -> None:
    made = scope()
    assert tuple(getattr(made, name) for name in FIELDS) == (
        "alpha",
        "g",
        CredentialKind.API_KEY,
        "key:0123",
        "ann",
        "clerk",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("alpha",),
        (None, "alpha", None, CredentialKind.OPERATOR, "x", None, None),
        (object(), "alpha", None, CredentialKind.OPERATOR, "x", None, None),
        (True, "alpha", None, CredentialKind.OPERATOR, "x", None, None),
    ],
)
def test_there_is_no_public_constructor(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        TenantScope(*arguments)


def test_the_refusal_says_where_scopes_come_from() -> None:
    with pytest.raises(TypeError, match=r"Platform\.authenticate"):
        TenantScope(None, TenantId("alpha"), None, CredentialKind.JWT, CredentialId("x"), None, None)


@pytest.mark.parametrize("name", [*FIELDS, "anything"])
def test_a_scope_is_frozen(name: str) -> None:
    made = scope()
    with pytest.raises(AttributeError, match="frozen"):
        setattr(made, name, "beta")
    with pytest.raises(AttributeError, match="frozen"):
        delattr(made, name)
    assert made.tenant == "alpha"
    assert not hasattr(made, "__dict__")


def test_a_scope_does_not_become_another_class() -> None:
    class Other:
        __slots__ = FIELDS

    with pytest.raises(AttributeError, match="frozen"):
        scope().__class__ = Other  # type: ignore[assignment]  # the attempt is the point


def test_a_second_initialisation_needs_the_token_too() -> None:
    made = scope()
    with pytest.raises(TypeError):
        made.__init__(None, TenantId("beta"), None, CredentialKind.JWT, CredentialId("x"), None, None)
    assert made.tenant == "alpha"


@pytest.mark.parametrize(
    "attempt",
    [copy.copy, copy.deepcopy, lambda made: copy.deepcopy([made]), lambda made: made.__getstate__()],
)
def test_a_scope_is_not_copied(attempt: Callable[[TenantScope], object]) -> None:
    with pytest.raises(TypeError):
        attempt(scope())


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_scope_does_not_leave_the_process(protocol: int) -> None:
    with pytest.raises(TypeError, match="unverified"):
        pickle.dumps({"scope": scope()}, protocol)


def test_a_scope_is_not_subclassed() -> None:
    with pytest.raises(TypeError, match="subclassed"):
        type("Wider", (TenantScope,), {})


def test_a_scope_equals_only_itself() -> None:
    first, second = scope(), scope()
    others: list[object] = [second, "alpha", None]
    assert first == first
    assert all(first != other for other in others)
    assert len({first, second}) == 2


def test_its_repr_names_tenant_and_credential_and_no_user() -> None:
    assert repr(scope()) == "TenantScope(alpha, key:0123)"
