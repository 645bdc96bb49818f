"""How a PostgreSQL server is reached, and how far apart tenants' rows lie there. Compiled from the document.

Promises: frozen; nothing is connected to yet, and no driver is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from partywall.tenancy import Secret, TenantId

__all__ = ["MIGRATE_COMMAND", "PostgresSettings", "Strategy"]

MIGRATE_COMMAND: Final = "partywall storage migrate"
"""What makes and repairs everything that the serving process expects to find."""


class Strategy(StrEnum):
    """How far apart tenants' rows are."""

    NAMESPACE = "namespace"
    """One table; row-level security divides it."""
    SEPARATE_COLLECTION = "separate_collection"
    """A schema and a role for each tenant, with row-level security in it all the same."""
    SEPARATE_DB = "separate_db"
    """A database and a role for each tenant, likewise."""


@dataclass(frozen=True, kw_only=True)
class PostgresSettings:
    """One server (or what pools connections before it), as the serving process uses it."""

    dsn: Callable[[], Secret]
    """Asked at each new connection, so that a changed password counts from the next one."""
    strategy: Strategy
    own_strategies: Mapping[TenantId, Strategy] = field(default_factory=dict)
    """Tenants that lie elsewhere than the others."""
    max_connections: int = 16
    """At most, to all databases together."""
    vectors: bool = False
    """Whether tables of vectors, and pgvector, must be there."""
    timeout_seconds: float = 10.0
    """For a whole operation, waiting for a connection included."""

    def strategy_of(self, tenant: TenantId) -> Strategy:
        """Where the document wants the tenant's rows."""
        return self.own_strategies.get(tenant, self.strategy)
