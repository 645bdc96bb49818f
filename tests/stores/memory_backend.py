"""A backend of dictionaries: the model that the real ones are held against."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from partywall.stores.backends.base import (
    Change,
    Delete,
    DeleteGroup,
    DropIndex,
    DropVectors,
    Insert,
    Near,
    PutVectors,
    Replace,
    Reseal,
    Row,
    Scan,
    VectorChange,
    check_changes,
    check_limit,
    check_name,
    check_nearest,
    check_page,
    check_places,
)
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["MemoryBackend", "MemoryPartition"]


class MemoryPartition:
    """One tenant's rows in one store, in the order of their insertion."""

    def __init__(self) -> None:
        self.rows: dict[tuple[bytes, bytes], Row] = {}
        self._at: dict[tuple[bytes, bytes], int] = {}
        self._inserted = 0
        self.vectors: dict[tuple[bytes, bytes, int], Sequence[float]] = {}
        """By index, group and number, in the order in which they were put."""

    async def get(self, group: bytes, key: bytes) -> Row | None:
        check_name(group)
        check_name(key)
        await asyncio.sleep(0)
        return self.rows.get((group, key))

    async def get_many(self, places: Sequence[tuple[bytes, bytes]]) -> Sequence[Row | None]:
        check_places(places)
        await asyncio.sleep(0)
        return [self.rows.get(place) for place in places]

    async def commit(self, changes: Sequence[Change | VectorChange]) -> bool:
        check_changes(changes)
        await asyncio.sleep(0)
        rows, vectors = dict(self.rows), dict(self.vectors)
        for change in changes:
            if isinstance(change, PutVectors | DropVectors | DropIndex):
                made = _make_vectors(vectors, change)
            else:
                made = _make(rows, change)
            if not made:
                return False
        self.rows, self.vectors = rows, vectors
        for change in changes:
            if isinstance(change, Insert):
                self._inserted += 1
                self._at[change.group, change.key] = self._inserted
        return True

    async def page(
        self, group: bytes, *, after: bytes | None = None, limit: int, backwards: bool = False
    ) -> Sequence[Row] | None:
        check_page(group, after, limit)
        await asyncio.sleep(0)
        rows = [row for row in self.rows.values() if row.group == group]
        if backwards:
            rows.reverse()
        if after is not None:
            keys = [row.key for row in rows]
            if after not in keys:
                return None
            rows = rows[keys.index(after) + 1 :]
        return rows[:limit]

    async def scan(self, *, after: bytes | None = None, limit: int) -> Scan:
        check_limit(limit)
        if after is not None and b"|" not in after:
            raise ValueError("a scan goes on behind what a scan gave")
        await asyncio.sleep(0)
        behind = 0 if after is None else int(after[:-1])
        rows = [row for place, row in self.rows.items() if self._at[place] > behind][:limit]
        last = rows[-1] if len(rows) == limit else None
        return Scan(rows, None if last is None else b"%d|" % self._at[last.group, last.key])

    async def count(self) -> int:
        return len(self.rows) + len(self.vectors)

    async def delete_all(self) -> int:
        count = await self.count()
        self.rows, self.vectors = {}, {}
        return count

    async def nearest(
        self, index: bytes, vector: Sequence[float], *, limit: int, groups: Sequence[bytes] | None = None
    ) -> Sequence[Near]:
        check_nearest(index, vector, limit, groups)
        await asyncio.sleep(0)
        found = [
            Near(group, number, sum(one * other for one, other in zip(vector, there, strict=True)))
            for (where, group, number), there in self.vectors.items()
            if where == index and len(there) == len(vector) and (groups is None or group in groups)
        ]
        return sorted(found, key=lambda near: -near.score)[:limit]


def _make_vectors(vectors: dict[tuple[bytes, bytes, int], Sequence[float]], change: VectorChange) -> bool:
    if isinstance(change, PutVectors):
        for number, vector in enumerate(change.vectors, change.first):
            if vectors.setdefault((change.within, change.group, number), vector) is not vector:
                return False
        return True
    for place in list(vectors):
        if place[0] == change.within and (isinstance(change, DropIndex) or place[1] == change.group):
            del vectors[place]
    return True


def _make(rows: dict[tuple[bytes, bytes], Row], change: Change) -> bool:
    match change:
        case DeleteGroup(group):
            for place in [place for place in rows if place[0] == group]:
                del rows[place]
            return True
        case Insert(group, key, sealed):
            return rows.setdefault((group, key), row := Row(group, key, 1, sealed)) is row
        case Replace(group, key, revision, sealed):
            found = rows.get((group, key))
            if found is None or found.revision != revision:
                return False
            rows[group, key] = Row(group, key, revision + 1, sealed)
            return True
        case Reseal(group, key, before, sealed):
            found = rows.get((group, key))
            if found is None or found.sealed != before:
                return False
            rows[group, key] = found._replace(sealed=sealed)
            return True
        case Delete(group, key, revision):
            found = rows.get((group, key))
            if found is None or revision not in {None, found.revision}:
                return False
            del rows[group, key]
            return True


class MemoryBackend:
    """Everything in dictionaries."""

    def __init__(self) -> None:
        self.partitions: dict[tuple[TenantId, str], MemoryPartition] = {}

    def partition(self, tenant: TenantId, store: str) -> MemoryPartition:
        if not store.isidentifier():
            raise ValueError("no store's name")
        return self.partitions.setdefault((parse_tenant_id(tenant), store), MemoryPartition())

    async def aclose(self) -> None:
        self.partitions.clear()
