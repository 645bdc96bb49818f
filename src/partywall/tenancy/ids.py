"""Identifiers, and the one check that every tenant id passes.

Promises: two ids are the same tenant if and only if their bytes are equal; nothing here folds case or normalises
Unicode, so no two spellings can meet.
"""

from __future__ import annotations

import re
from typing import Final, NewType

from partywall.errors import InvalidTenantId

__all__ = ["TENANT_ID_PATTERN", "CredentialId", "GroupName", "Role", "TenantId", "UserId", "parse_tenant_id"]

TenantId = NewType("TenantId", str)
GroupName = NewType("GroupName", str)
UserId = NewType("UserId", str)
Role = NewType("Role", str)
CredentialId = NewType("CredentialId", str)
"""Names a credential without being one: `key:` and the first 12 hex digits of its SHA-256, or `jwt:` and its `jti` (the
same 12 digits when it has none that prints), or `operator:` and who that is."""

TENANT_ID_PATTERN: Final = r"[a-z0-9][a-z0-9_-]{0,62}"
_MATCH = re.compile(TENANT_ID_PATTERN, re.ASCII).fullmatch


def parse_tenant_id(text: str) -> TenantId:
    """Check `text` and return it as a tenant id, unchanged.

    Raises:
        InvalidTenantId: it isn't `[a-z0-9][a-z0-9_-]{0,62}`, byte for byte.
    """
    if _MATCH(text) is None:
        raise InvalidTenantId(
            f"`{text[:80]!r}` is no tenant id: lower-case letters, digits, `_` and `-`, at most 63, "
            "starting with a letter or digit; two spellings of one tenant would be two tenants"
        )
    return TenantId(text)
