"""Documents and scopes for policy tests: always two tenants."""

from __future__ import annotations

from typing import Any

from partywall.config.document import Document
from partywall.policy import Rules
from partywall.tenancy import CredentialId, CredentialKind, GroupName, Role, TenantId, TenantScope, UserId
from partywall.tenancy._mint import mint


def document(**sections: Any) -> Document:
    return Document.model_validate({"pack": {"name": "test", "version": "1.0.0"}, **sections})


def rules(**sections: Any) -> Rules:
    return Rules(document(**sections))


def scope(
    tenant: str,
    group: str | None = None,
    *,
    role: str | None = None,
    user: str | None = None,
    kind: CredentialKind = CredentialKind.API_KEY,
) -> TenantScope:
    return mint(
        tenant=TenantId(tenant),
        group=GroupName(group or tenant),
        credential_kind=kind,
        credential_id=CredentialId("key:test"),
        user=None if user is None else UserId(user),
        role=None if role is None else Role(role),
    )
