"""What is reported when a record didn't belong where it was found.

Promises: an alarm names whose request met it, where, and which wall stopped it; never content, and never whose the
record was, because that would be told to whoever reads this tenant's alarms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from partywall.tenancy import TenantId

__all__ = ["OnAlarm", "Wall", "WallAlarm"]


class Wall(StrEnum):
    """Which of the three stopped it. The ones before it had let it pass."""

    PLACEMENT = "placement"
    """The backend returned a row that wasn't asked for."""
    CRYPTOGRAPHY = "cryptography"
    """It did not open for this tenant, store, purpose and place."""
    VERIFICATION = "verification"
    """It opened, and the record inside names another tenant, store, place or revision."""


@dataclass(frozen=True, slots=True)
class WallAlarm:
    """A record was dropped. To the caller it looks as if it weren't there."""

    wall: Wall
    tenant: TenantId
    """On whose behalf it was met."""
    store: str
    purpose: str
    reason: str

    def __str__(self) -> str:
        return f"{self.wall} stopped a record in `{self.store}` ({self.purpose}) for `{self.tenant}`: {self.reason}"


OnAlarm: TypeAlias = Callable[[WallAlarm], None]
