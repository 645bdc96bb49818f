"""What every section of the document shares.

Promises: a section is frozen once validated, and a key that it doesn't know is an error, so a misspelt wall is never a
missing wall.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from partywall.tenancy import TENANT_ID_PATTERN

__all__ = ["HttpUrl", "Name", "PerTenant", "PositiveInt", "Seconds", "Section", "TenantIdText"]


class Section(BaseModel):
    """One mapping of the document: frozen, strict about keys, validated whole before a socket opens."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)


Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
"""Names things within the document: letters, digits and `. _ : / -`."""

TenantIdText = Annotated[str, StringConstraints(pattern=rf"^{TENANT_ID_PATTERN}$", strict=True)]
"""A tenant id, compared byte for byte: no case folding, no Unicode."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]
PositiveInt = Annotated[int, Field(gt=0)]

PerTenant = Annotated[str, StringConstraints(pattern=r"\{tenant_id\}")]
"""A template that must contain `{tenant_id}`: without it two tenants would share the result."""

HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+")]
