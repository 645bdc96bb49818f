"""Who the work is for: tenant ids, the unforgeable scope, secrets. Standard library only."""

from partywall.tenancy.ambient import bind, current
from partywall.tenancy.ids import (
    TENANT_ID_PATTERN,
    CredentialId,
    GroupName,
    Role,
    TenantId,
    UserId,
    parse_tenant_id,
)
from partywall.tenancy.scope import CredentialKind, TenantScope
from partywall.tenancy.secret import Secret

__all__ = [
    "TENANT_ID_PATTERN",
    "CredentialId",
    "CredentialKind",
    "GroupName",
    "Role",
    "Secret",
    "TenantId",
    "TenantScope",
    "UserId",
    "bind",
    "current",
    "parse_tenant_id",
]
