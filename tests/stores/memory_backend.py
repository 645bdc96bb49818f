"""A backend of dictionaries: the model that the real ones are held against."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from partywall.stores.backends.base import (
    Change,
    Delete,
    DeleteGroup,
    Insert,
    Replace,
    Row,
    check_changes,
    check_name,
    check_page,
    check_places,
)
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["MemoryBackend", "MemoryPartition"]


class MemoryPartition:
    """One tenant's rows in one store, in the order of their insertion."""

    def __init__(self) -> None:
        self.rows: dict[tuple[bytes, bytes], Row] = {}

    async def get(self, group: bytes, key: bytes) -> Row | None:
        check_name(group)
        check_name(key)
        await asyncio.sleep(0)
        return self.rows.get((group, key))

    async def get_many(self, places: Sequence[tuple[bytes, bytes]]) -> Sequence[Row | None]:
        check_places(places)
        await asyncio.sleep(0)
        return [self.rows.get(place) for place in places]

    async def commit(self, changes: Sequence[Change]) -> bool:
        check_changes(changes)
        await asyncio.sleep(0)
        rows = dict(self.rows)
        if not all(_make(rows, change) for change in changes):
            return False
        self.rows = rows
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

    async def count(self) -> int:
        return len(self.rows)

    async def delete_all(self) -> int:
        count, self.rows = len(self.rows), {}
        return count


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
