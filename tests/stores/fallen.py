"""Walls that have fallen: each of the three as it would be if somebody forgot it.

placement      the predicate is gone: every read returns the other tenants' rows, before the caller's own
cryptography   "null key": nothing is sealed, and hashes know no tenant; or "one key": whoever's key opens it opens it
verification   whatever opens passes
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain, combinations
from typing import Final

from tests.stores.engines import Beside
from tests.stores.houses import ALPHA, BETA, House, WallsOf, scope_of
from tests.stores.memory_backend import MemoryPartition

from partywall.keys import Store
from partywall.stores.backends.base import (
    LONGEST_PAGE,
    Change,
    Near,
    Partition,
    Row,
    Scan,
    VectorChange,
    VectorPartition,
)
from partywall.stores.backends.postgres.connections import Transaction
from partywall.stores.backends.postgres.partition import PostgresPartition
from partywall.stores.backends.postgres.places import Place
from partywall.stores.backends.postgres.statements import quoted
from partywall.stores.backends.sqlite import SqlitePartition
from partywall.stores.backends.vectors.beside import BesidePartition
from partywall.stores.records import Home
from partywall.stores.walls import Cryptography, Placement, Verification, Walls, authorise
from partywall.tenancy import TenantScope

__all__ = ["ALL_BUT_ALL", "EVERYTHING", "without"]

_WALLS: Final = ("placement", "verification", "null key")
ALL_BUT_ALL: Final = [
    *chain.from_iterable(combinations(_WALLS, count) for count in range(3)),
    ("one key",),
    ("placement", "one key"),
    ("one key", "verification"),
]
"""Every wall and every pair of them, cryptography in two ways."""
EVERYTHING: Final = [_WALLS, ("placement", "one key", "verification")]


class _Mixed:
    """A partition that forgot the tenant. It writes in the right place and reads in every one."""

    def __init__(self, own: Partition, foreign: Partition) -> None:
        self._own = own
        self._foreign = foreign

    async def get(self, group: bytes, key: bytes) -> Row | None:
        # As a query whose predicates were all dropped would: somebody else's row first, whatever was asked for.
        other = await self._foreign.get(group, key)
        if other is None:
            every = await _every_row(self._foreign)
            other = every[0] if every else None
        return other or await self._own.get(group, key)

    async def get_many(self, places: Sequence[tuple[bytes, bytes]]) -> Sequence[Row | None]:
        return [await self.get(group, key) for group, key in places]

    async def commit(self, changes: Sequence[Change | VectorChange]) -> bool:
        if isinstance(self._own, VectorPartition):
            return await self._own.commit(changes)
        return await self._own.commit([each for each in changes if not isinstance(each, VectorChange)])

    async def nearest(
        self, index: bytes, vector: Sequence[float], *, limit: int, groups: Sequence[bytes] | None = None
    ) -> Sequence[Near]:
        """The other tenant's before the caller's own, whatever index and groups were asked for."""
        assert isinstance(self._own, VectorPartition)
        assert isinstance(self._foreign, VectorPartition)
        foreign: list[Near] = []
        for other in await _every_index(self._foreign):
            foreign += await self._foreign.nearest(other, vector, limit=limit)
        return [*foreign, *await self._own.nearest(index, vector, limit=limit, groups=groups)][:limit]

    async def page(
        self, group: bytes, *, after: bytes | None = None, limit: int, backwards: bool = False
    ) -> Sequence[Row] | None:
        own = await self._own.page(group, limit=1000, backwards=backwards) or []
        foreign = await self._foreign.page(group, limit=1000, backwards=backwards)
        rows = [*(foreign or await _every_row(self._foreign)), *own]
        if after is not None:
            keys = [row.key for row in rows]
            if after not in keys:
                return None
            rows = rows[keys.index(after) + 1 :]
        return rows[:limit]

    async def scan(self, *, after: bytes | None = None, limit: int) -> Scan:
        return Scan([*await _every_row(self._foreign), *await _every_row(self._own)], None)

    async def count(self) -> int:
        return await self._own.count() + await self._foreign.count()

    async def delete_all(self) -> int:
        return await self._own.delete_all()


async def _every_row(partition: Partition) -> list[Row]:
    """All rows of a partition, groups and all. The engine could do this; the interface can't."""
    if isinstance(partition, MemoryPartition):
        return list(partition.rows.values())
    if isinstance(partition, BesidePartition):
        return await _every_row(partition._rows)
    if isinstance(partition, PostgresPartition):
        return [*(await partition.scan(limit=LONGEST_PAGE)).rows]
    assert isinstance(partition, SqlitePartition)
    statement = "SELECT grp, key, revision, sealed FROM rows ORDER BY position"
    return await partition._backend.look(
        partition._place, lambda file: [Row._make(row) for row in file._connection.execute(statement)], []
    )


async def _every_index(partition: Partition) -> list[bytes]:
    """All indexes of a partition, likewise."""
    if isinstance(partition, MemoryPartition):
        return list(dict.fromkeys(index for index, _, _ in partition.vectors))
    if isinstance(partition, BesidePartition):
        assert isinstance(partition._backend, Beside)
        return list(partition._backend.indexes.get(partition._tenant, {}))
    assert isinstance(partition, PostgresPartition)
    statement = "SELECT DISTINCT idx FROM {}.vectors WHERE tenant = $1 AND store = $2 ORDER BY idx"

    async def work(under_way: Transaction, place: Place) -> list[bytes]:
        found = await under_way.connection.fetch(statement.format(quoted(place.statements.schema)), *partition._whose)
        return [bytes(each["idx"]) for each in found]

    return await partition._backend.look(partition._whose, work)


class _NoPlacement(Placement):
    def __init__(self, house: House, store: str) -> None:
        super().__init__(house.backend, store)
        self._house = house

    def partition(self, scope: TenantScope) -> Partition:
        if not self._house.looking:
            return super().partition(scope)
        other = BETA if authorise(scope).tenant == ALPHA else ALPHA
        return _Mixed(super().partition(scope), self._backend.partition(other, self._store))


class _NullKey(Cryptography):
    async def names(self, scope: TenantScope, things: Sequence[Sequence[str]]) -> list[bytes]:
        return [hashlib.sha256(repr(tuple(parts)).encode()).digest() for parts in things]

    async def seal(self, scope: TenantScope, home: Home, plaintext: bytes) -> bytes:
        return plaintext

    async def open(self, scope: TenantScope, home: Home, sealed: bytes) -> bytes:
        return sealed

    def is_old(self, scope: TenantScope, sealed: bytes) -> bool:
        return False


class _OneKey(Cryptography):
    """Whoever asks, alpha's key is used: to hash, to seal and to open."""

    async def names(self, scope: TenantScope, things: Sequence[Sequence[str]]) -> list[bytes]:
        return await super().names(scope_of(ALPHA), things)

    async def seal(self, scope: TenantScope, home: Home, plaintext: bytes) -> bytes:
        return await super().seal(scope_of(ALPHA), home, plaintext)

    async def open(self, scope: TenantScope, home: Home, sealed: bytes) -> bytes:
        return await super().open(scope_of(ALPHA), home, sealed)

    def is_old(self, scope: TenantScope, sealed: bytes) -> bool:
        return super().is_old(scope_of(ALPHA), sealed)


class _NoVerification(Verification):
    def was_asked_for(self, group: bytes, key: bytes | None, row: Row) -> bool:
        return True

    def accepts(self, home: Home, said: Home) -> bool:
        return True

    def in_namespace(self, own: str, said: str) -> bool:
        return True


def without(fallen: tuple[str, ...]) -> WallsOf:
    """The walls of a house in which these have fallen."""

    def walls(house: House, store: Store) -> Walls:
        made = house.walls(store)
        keys = house.ring.store(store)
        if "placement" in fallen:
            made = made._replace(placement=_NoPlacement(house, store.value))
        if "null key" in fallen:
            made = made._replace(cryptography=_NullKey(keys))
        if "one key" in fallen:
            made = made._replace(cryptography=_OneKey(keys))
        if "verification" in fallen:
            made = made._replace(verification=_NoVerification())
        return made

    return walls
