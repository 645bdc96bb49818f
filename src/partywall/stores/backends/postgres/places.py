"""Where a tenant's rows lie: in the common schema, in a schema of its own, or in a database of its own.

Promises: where they lie is what provisioning wrote down, and not what the document would like: a tenant whose document
was changed to another strategy is refused, and never finds an empty place in the stead of its rows. A place whose
tables are of another version, whose row-level security isn't forced, or in which the serving role has rights of its
own, is refused before the first row is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import asyncpg

from partywall.errors import StoreUnavailable
from partywall.stores.backends.postgres.connections import Connections, told
from partywall.stores.backends.postgres.self_check import faults_of_tables
from partywall.stores.backends.postgres.settings import MIGRATE_COMMAND, PostgresSettings, Strategy
from partywall.stores.backends.postgres.statements import MAIN_SCHEMA, Statements
from partywall.tenancy import TenantId

__all__ = ["NOBODY_ELSE", "Place", "Places", "place_of"]

NOBODY_ELSE: Final = "none"
"""The role of a place in which the serving role acts as itself."""
_CLOSED: Final = (
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidParameterValueError,
    asyncpg.InsufficientPrivilegeError,
)
"""No such database; no such role; a role or database that isn't for us."""
_NAME: Final = re.compile(r"pw_[a-z0-9_-]{1,63}", re.ASCII).fullmatch


@dataclass(frozen=True)
class Place:
    """Where, and as whom."""

    database: str | None
    """None: the one that the connection string names."""
    role: str
    statements: Statements
    has_vectors: bool = False
    """Whether vectors may lie there, too; seen when the place is."""


MAIN: Final = Place(None, NOBODY_ELSE, Statements(MAIN_SCHEMA))


def place_of(strategy: Strategy, name: str) -> Place:
    """The place that provisioning called `name`.

    Raises:
        StoreUnavailable: that is no name of ours.
    """
    if strategy is Strategy.NAMESPACE:
        return MAIN
    if _NAME(name) is None:
        raise StoreUnavailable(f"`{MAIN_SCHEMA}.placements` holds a name that provisioning didn't write")
    if strategy is Strategy.SEPARATE_COLLECTION:
        return Place(None, name, Statements(name))
    return Place(name, name, Statements(MAIN_SCHEMA))


class Places:
    """The places of every tenant that was asked for, each looked up and checked once."""

    def __init__(self, settings: PostgresSettings, connections: Connections) -> None:
        self._settings = settings
        self._connections = connections
        self._known: dict[TenantId, Place] = {}

    async def of(self, tenant: TenantId) -> Place:
        """That tenant's.

        Raises:
            StoreUnavailable: there is none, it is another one than the document says, or it can't be trusted.
        """
        place = self._known.get(tenant)
        if place is None:
            place = await self._look_up(tenant)
            if place is not MAIN:
                await self._check(tenant, place)
            place = self._known[tenant] = await self._with_vectors(tenant, place)
        return place

    async def _with_vectors(self, tenant: TenantId, place: Place) -> Place:
        async with self._connections.transaction(place.database, tenant, place.role, reading=True) as under_way:
            sql = place.statements
            found = bool(await under_way.connection.fetchval(sql.has_vectors, sql.schema))
        return replace(place, has_vectors=found)

    async def _look_up(self, tenant: TenantId) -> Place:
        wanted = self._settings.strategy_of(tenant)
        async with self._connections.transaction(None, tenant, NOBODY_ELSE, reading=True) as under_way:
            found = await under_way.connection.fetchrow(MAIN.statements.placement, tenant)
        if found is None:
            if wanted is Strategy.NAMESPACE:
                return MAIN  # nothing needs to be made for a tenant there
            raise StoreUnavailable(f"nothing is provisioned for `{tenant}` ({wanted}); run `{MIGRATE_COMMAND} CONFIG`")
        if found["strategy"] != wanted:
            raise StoreUnavailable(
                f"the rows of `{tenant}` lie by `{found['strategy']}`, and the document says `{wanted}`; change it back"
            )
        if not found["ready"]:
            raise StoreUnavailable(f"provisioning `{tenant}` was interrupted; run `{MIGRATE_COMMAND} CONFIG` again")
        return place_of(wanted, found["name"])

    async def _check(self, tenant: TenantId, place: Place) -> None:
        """See that the place is as `migrate` leaves it."""
        try:
            async with self._connections.transaction(place.database, tenant, place.role, reading=True) as under_way:
                faults = await faults_of_tables(
                    under_way.connection,
                    place.statements.schema,
                    own_role=place.role,
                    vectors=self._settings.vectors,
                )
        except _CLOSED as error:
            raise StoreUnavailable(
                f"what was provisioned for `{tenant}` is gone or closed to us ({told(error)}); "
                f"run `{MIGRATE_COMMAND} CONFIG`"
            ) from error
        if faults:
            raise StoreUnavailable(f"`{tenant}` is not served: {'; '.join(faults)}")
