"""One tenant's rows in one store, as a partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from partywall.stores.backends.base import (
    Change,
    Delete,
    DeleteGroup,
    Insert,
    Replace,
    Reseal,
    Row,
    Scan,
    check_changes,
    check_limit,
    check_name,
    check_page,
    check_places,
)
from partywall.stores.backends.postgres.statements import LAST_POSITION, Statements

if TYPE_CHECKING:
    import asyncpg

    from partywall.stores.backends.postgres.backend import PostgresBackend
    from partywall.stores.backends.postgres.connections import Transaction
    from partywall.tenancy import TenantId

__all__ = ["PostgresPartition", "Whose"]

Whose: TypeAlias = "tuple[TenantId, str]"
"""A tenant and a store."""


_POSITION_BYTES: Final = 8


class PostgresPartition:
    """See `Partition`."""

    __slots__ = ("_backend", "_whose")

    def __init__(self, backend: PostgresBackend, whose: Whose) -> None:
        self._backend = backend
        self._whose = whose

    async def get(self, group: bytes, key: bytes) -> Row | None:
        """See `Partition.get`."""
        check_name(group)
        check_name(key)

        async def work(under_way: Transaction, sql: Statements) -> Row | None:
            found = await under_way.connection.fetchrow(sql.get, *self._whose, group, key)
            return None if found is None else _row(found)

        return await self._backend.look(self._whose, work)

    async def get_many(self, places: Sequence[tuple[bytes, bytes]]) -> Sequence[Row | None]:
        """See `Partition.get_many`."""
        check_places(places)
        groups, keys = [group for group, _ in places], [key for _, key in places]

        async def work(under_way: Transaction, sql: Statements) -> list[Row | None]:
            found = await under_way.connection.fetch(sql.get_many, *self._whose, groups, keys)
            return [None if each["key"] is None else _row(each) for each in found]

        return await self._backend.look(self._whose, work)

    async def page(
        self, group: bytes, *, after: bytes | None = None, limit: int, backwards: bool = False
    ) -> Sequence[Row] | None:
        """See `Partition.page`."""
        check_page(group, after, limit)

        async def work(under_way: Transaction, sql: Statements) -> list[Row] | None:
            fetch, own = under_way.connection, (*self._whose, group)
            position = LAST_POSITION if backwards else 0
            if after is not None:
                found = await fetch.fetchval(sql.position, *own, after)
                if found is None:
                    return None
                position = found
            rows = await fetch.fetch(sql.backwards if backwards else sql.forwards, *own, position, limit)
            return [_row(row) for row in rows]

        return await self._backend.look(self._whose, work)

    async def scan(self, *, after: bytes | None = None, limit: int) -> Scan:
        """See `Partition.scan`."""
        check_limit(limit)
        if after is not None and len(after) != _POSITION_BYTES:
            raise ValueError("a scan goes on behind what a scan gave")
        position = 0 if after is None else min(int.from_bytes(after), LAST_POSITION)

        async def work(under_way: Transaction, sql: Statements) -> Scan:
            found = await under_way.connection.fetch(sql.scan, *self._whose, position, limit)
            last = found[-1]["position"].to_bytes(_POSITION_BYTES) if len(found) == limit else None
            return Scan([Row(*tuple(each)[1:]) for each in found], last)

        return await self._backend.look(self._whose, work)

    async def count(self) -> int:
        """See `Partition.count`."""

        async def work(under_way: Transaction, sql: Statements) -> int:
            return int(await under_way.connection.fetchval(sql.count, *self._whose))

        return await self._backend.look(self._whose, work)

    async def commit(self, changes: Sequence[Change]) -> bool:
        """See `Partition.commit`."""
        changes = tuple(changes)
        check_changes(changes)
        inserts = sum(isinstance(change, Insert) for change in changes)

        async def work(under_way: Transaction, sql: Statements) -> bool:
            # INVARIANT: whoever changes a partition holds its row in `partitions` until the end, so that positions are
            # given in the order in which they become visible, and no two commits wait for each other crosswise.
            last = int(await under_way.connection.fetchval(sql.lock, *self._whose, inserts))
            position = last - inserts
            for change in changes:
                position += isinstance(change, Insert)
                if not await self._make(under_way, sql, change, position):
                    under_way.keep = False
                    return False
            return True

        return await self._backend.change(self._whose, work)

    async def _make(self, under_way: Transaction, sql: Statements, change: Change, position: int) -> bool:
        """Whether it found the place as it wants it."""
        run, own = under_way.connection.execute, self._whose
        match change:
            case Insert(group, key, sealed):
                done = await run(sql.insert, *own, group, key, position, sealed)
            case Replace(group, key, revision, sealed):
                done = await run(sql.replace, *own, group, key, revision, sealed)
            case Reseal(group, key, before, sealed):
                done = await run(sql.reseal, *own, group, key, before, sealed)
            case Delete(group, key, revision):
                done = await run(sql.delete, *own, group, key, revision)
            case DeleteGroup(group):
                await run(sql.delete_group, *own, group)
                return True
        return _touched(done) == 1

    async def delete_all(self) -> int:
        """See `Partition.delete_all`."""

        async def work(under_way: Transaction, sql: Statements) -> int:
            await under_way.connection.fetchval(sql.lock, *self._whose, 0)
            deleted = _touched(await under_way.connection.execute(sql.delete_all, *self._whose))
            await under_way.connection.execute(sql.forget, *self._whose)
            return deleted

        return await self._backend.change(self._whose, work)


def _row(record: asyncpg.Record) -> Row:
    return Row(*record)


def _touched(said: str) -> int:
    """How many rows a statement says that it changed: `UPDATE 1`, `INSERT 0 1`."""
    return int(said.rpartition(" ")[2])
