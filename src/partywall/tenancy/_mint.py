"""The only door to a `TenantScope`.

`mint` is for the room that has just verified a credential, or recorded what an operator does (`identity`), and for
`partywall.testing`. An import contract
and a test over the syntax tree hold every other module away from it.
"""

from __future__ import annotations

from partywall.tenancy.ids import CredentialId, GroupName, Role, TenantId, UserId
from partywall.tenancy.scope import _MINT_TOKEN, CredentialKind, TenantScope

__all__ = ["mint"]


def mint(
    *,
    tenant: TenantId,
    group: GroupName | None,
    credential_kind: CredentialKind,
    credential_id: CredentialId,
    user: UserId | None = None,
    role: Role | None = None,
) -> TenantScope:
    """Make the scope of a tenant whose credential the caller has verified, in full, just now."""
    return TenantScope(_MINT_TOKEN, tenant, group, credential_kind, credential_id, user, role)
