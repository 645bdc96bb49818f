"""The backend for servers: partitions of PostgreSQL.

Promises: a partition's every statement runs in a transaction in its tenant's name, on a server that was checked.
Commits to one partition take turns before they take a connection, and one tenant has a few connections at most, so that
its crowd keeps nobody else waiting. A server that is down, or too slow, is `StoreUnavailable` within `timeout_seconds`.

Doesn't promise: to say whether a commit was made when the server was lost in its midst.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.postgres.connections import FAILURES, Connections, Transaction, told
from partywall.stores.backends.postgres.partition import PostgresPartition, Whose
from partywall.stores.backends.postgres.places import NOBODY_ELSE, Place, Places
from partywall.stores.backends.postgres.self_check import (
    faults_of_probes,
    faults_of_role,
    faults_of_server,
    faults_of_tables,
    faults_of_version,
)
from partywall.stores.backends.postgres.settings import PostgresSettings
from partywall.stores.backends.postgres.statements import MAIN_SCHEMA
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["PostgresBackend"]

_STORE: Final = re.compile(r"[a-z]{1,32}", re.ASCII).fullmatch

_Result = TypeVar("_Result")
_Work = Callable[[Transaction, Place], Awaitable[_Result]]


class PostgresBackend:
    """Every tenant's partitions on one server. It belongs to the event loop that uses it first."""

    def __init__(self, settings: PostgresSettings) -> None:
        """Nothing is connected to yet; `check` is."""
        self._settings = settings
        self._connections = Connections(settings)
        self._places = Places(settings, self._connections)
        self._most_each = max(1, settings.max_connections // 4)
        self._crowds: WeakValueDictionary[TenantId, asyncio.Semaphore] = WeakValueDictionary()
        self._turns: WeakValueDictionary[Whose, asyncio.Lock] = WeakValueDictionary()

    @property
    def open_connections(self) -> int:
        """How many connections there are."""
        return self._connections.open_connections

    def partition(self, tenant: TenantId, store: str) -> PostgresPartition:
        """See `Backend.partition`."""
        tenant = parse_tenant_id(tenant)
        if _STORE(store) is None:
            raise ValueError(f"`{store[:40]!r}` is no store's name")
        return PostgresPartition(self, (tenant, store))

    async def check(self) -> None:
        """Refuse a server from which nothing should be served.

        Raises:
            ConfigError: a role, a policy, a version or the proof says so; with what to do about it.
            StoreUnavailable: it can't be asked.
        """
        faults = await self._guarded("the server", self._faults())
        if faults:
            raise ConfigError("\n".join(["storage: this server must not be served from:", *(f"  {f}" for f in faults)]))

    async def _faults(self) -> list[str]:
        # On a new connection, the setting is unset; nobody has entered anything yet.
        async with self._connections.probing() as under_way:
            connection = under_way.connection
            faults = faults_of_server(int(await connection.fetchval("SHOW server_version_num")))
            faults += await faults_of_role(connection)
            if unusable := await faults_of_version(connection, MAIN_SCHEMA):
                return [*faults, *unusable]
            vectors = self._settings.vectors
            faults += await faults_of_tables(connection, MAIN_SCHEMA, own_role=NOBODY_ELSE, vectors=vectors)
            return faults + await faults_of_probes(connection, vectors=vectors and not faults)

    async def check_tenant(self, tenant: TenantId) -> None:
        """See that the tenant's place is there and fit, as its first use would.

        Raises:
            StoreUnavailable: it isn't, and what to do.
        """
        await self._guarded(tenant, self._places.of(parse_tenant_id(tenant)))

    async def look(self, whose: Whose, work: _Work[_Result]) -> _Result:
        """Do what only reads. For partitions."""
        return await self._guarded(whose[0], self._run(whose, work, reading=True))

    async def change(self, whose: Whose, work: _Work[_Result]) -> _Result:
        """Do what changes the partition. For partitions."""
        return await self._guarded(whose[0], self._in_turn(whose, work))

    async def _in_turn(self, whose: Whose, work: _Work[_Result]) -> _Result:
        turn = self._turns.get(whose)
        if turn is None:
            turn = self._turns[whose] = asyncio.Lock()
        async with turn:
            return await self._run(whose, work, reading=False)

    async def _run(self, whose: Whose, work: _Work[_Result], *, reading: bool) -> _Result:
        tenant = whose[0]
        crowd = self._crowds.get(tenant)
        if crowd is None:
            crowd = self._crowds[tenant] = asyncio.Semaphore(self._most_each)
        async with crowd:
            place = await self._places.of(tenant)
            async with self._connections.transaction(place.database, tenant, place.role, reading=reading) as under_way:
                return await work(under_way, place)

    async def _guarded(self, what: str, work: Awaitable[_Result]) -> _Result:
        """Wait for it, but not for ever; what a driver raises becomes what stores know."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                return await work
        except TimeoutError as error:
            raise StoreUnavailable(f"`{what}`: the server took too long, or every connection is busy") from error
        except FAILURES as error:
            raise StoreUnavailable(f"`{what}`: {told(error)}") from error

    async def aclose(self) -> None:
        """Finish what is under way, and close every connection."""
        await self._connections.aclose()
