"""The names under which somebody could say which tenant they are: in a body, a query, a header, in metadata.

Promises: one list, for everybody who must not be told a tenant by its caller (R3, R7).
"""

from __future__ import annotations

from typing import Final

__all__ = ["TENANT_FIELDS", "squash"]


def squash(key: str) -> str:
    """`key` without case, `-` and `_`: `x-org-id`, `X_Org_ID` and `xOrgId` are one spelling of one thing.

    `casefold`, because parsers that ignore case (Go's `encoding/json`) read the long s and the Kelvin sign as letters.
    """
    return key.casefold().replace("_", "").replace("-", "")


TENANT_FIELDS: Final = frozenset(
    squash(name)
    for name in ("tenant", "tenant_id", "org_id", "organization", "organization_id", "x-org-id", "x-tenant-id")
)
"""Names under which clients say which tenant they are, squashed. They may agree with the credential; never choose."""
