"""One tenant's rows in one store, as a partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

from partywall.errors import StoreUnavailable
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
from partywall.stores.backends.postgres.places import NOBODY_ELSE
from partywall.stores.backends.postgres.settings import MIGRATE_COMMAND
from partywall.stores.backends.postgres.statements import EFFORT, GRAPHS, LAST_POSITION, graph_name

if TYPE_CHECKING:
    from partywall.stores.backends.postgres.backend import PostgresBackend
    from partywall.stores.backends.postgres.connections import Transaction
    from partywall.stores.backends.postgres.places import Place
    from partywall.tenancy import TenantId

__all__ = ["PostgresPartition", "Whose"]

Whose: TypeAlias = "tuple[TenantId, str]"
"""A tenant and a store."""


_POSITION_BYTES: Final = 8
_LEAST_EFFORT: Final = 200
_MOST_EFFORT: Final = 1000
"""How many vectors a walk through a graph keeps in view; pgvector takes no more."""


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

        async def work(under_way: Transaction, place: Place) -> Row | None:
            found = await under_way.connection.fetchrow(place.statements.get, *self._whose, group, key)
            return None if found is None else _row(found)

        return await self._backend.look(self._whose, work)

    async def get_many(self, places: Sequence[tuple[bytes, bytes]]) -> Sequence[Row | None]:
        """See `Partition.get_many`."""
        check_places(places)
        groups, keys = [group for group, _ in places], [key for _, key in places]

        async def work(under_way: Transaction, place: Place) -> list[Row | None]:
            found = await under_way.connection.fetch(place.statements.get_many, *self._whose, groups, keys)
            return [None if each["key"] is None else _row(each) for each in found]

        return await self._backend.look(self._whose, work)

    async def page(
        self, group: bytes, *, after: bytes | None = None, limit: int, backwards: bool = False
    ) -> Sequence[Row] | None:
        """See `Partition.page`."""
        check_page(group, after, limit)

        async def work(under_way: Transaction, place: Place) -> list[Row] | None:
            fetch, own, sql = under_way.connection, (*self._whose, group), place.statements
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

        async def work(under_way: Transaction, place: Place) -> Scan:
            found = await under_way.connection.fetch(place.statements.scan, *self._whose, position, limit)
            last = found[-1]["position"].to_bytes(_POSITION_BYTES) if len(found) == limit else None
            return Scan([Row(*tuple(each)[1:]) for each in found], last)

        return await self._backend.look(self._whose, work)

    async def count(self) -> int:
        """See `Partition.count`."""

        async def work(under_way: Transaction, place: Place) -> int:
            count = int(await under_way.connection.fetchval(place.statements.count, *self._whose))
            if place.has_vectors:
                count += int(await under_way.connection.fetchval(place.statements.count_vectors, *self._whose))
            return count

        return await self._backend.look(self._whose, work)

    async def commit(self, changes: Sequence[Change | VectorChange]) -> bool:
        """See `VectorPartition.commit`."""
        changes = tuple(changes)
        check_changes(changes)
        inserts = sum(isinstance(change, Insert) for change in changes)

        async def work(under_way: Transaction, place: Place) -> bool:
            # INVARIANT: whoever changes a partition holds its row in `partitions` until the end, so that positions are
            # given in the order in which they become visible, and no two commits wait for each other crosswise.
            last = int(await under_way.connection.fetchval(place.statements.lock, *self._whose, inserts))
            position = last - inserts
            for change in changes:
                position += isinstance(change, Insert)
                if not await self._make(under_way, place, change, position):
                    under_way.keep = False
                    return False
            return True

        return await self._backend.change(self._whose, work)

    async def _make(self, under_way: Transaction, place: Place, change: Change | VectorChange, position: int) -> bool:
        """Whether it found the place as it wants it."""
        if isinstance(change, PutVectors | DropVectors | DropIndex):
            return await self._make_vectors(under_way, place, change, position)
        run, own, sql = under_way.connection.execute, self._whose, place.statements
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

    async def _make_vectors(self, under_way: Transaction, place: Place, change: VectorChange, position: int) -> bool:
        """As `_make`. What is put now comes behind what was put before, in its group by number."""
        _require_vectors(place)
        connection, own, sql = under_way.connection, self._whose, place.statements
        match change:
            case DropVectors(index, group):
                await connection.execute(sql.drop_vectors, *own, index, group)
            case DropIndex(index):
                await connection.execute(sql.drop_index, *own, index)
            case PutVectors(index, group, first, vectors):
                rows = [
                    (*own, index, group, position, len(vector), number, vector)
                    for number, vector in enumerate(vectors, first)
                ]
                try:
                    await connection.executemany(sql.put_vector, rows)
                except asyncpg.UniqueViolationError:
                    return False  # its caller undoes the transaction, which could do nothing else any more
        return True

    async def nearest(
        self, index: bytes, vector: Sequence[float], *, limit: int, groups: Sequence[bytes] | None = None
    ) -> Sequence[Near]:
        """See `VectorPartition.nearest`."""
        check_nearest(index, vector, limit, groups)

        async def work(under_way: Transaction, place: Place) -> list[Near]:
            _require_vectors(place)
            found: list[asyncpg.Record] = []
            if groups is None and await self._has_graph(under_way, place, index, len(vector)):
                await under_way.connection.fetchval(EFFORT, str(min(max(_LEAST_EFFORT, 4 * limit), _MOST_EFFORT)))
                statement = place.statements.nearly(len(vector))
                found = await under_way.connection.fetch(statement, *self._whose, index, vector, limit)
            if len(found) < limit:
                exact = place.statements.nearest
                found = await under_way.connection.fetch(exact, *self._whose, index, vector, len(vector), groups, limit)
            return [Near(*each) for each in found]

        return await self._backend.look(self._whose, work)

    async def _has_graph(self, under_way: Transaction, place: Place, index: bytes, dimensions: int) -> bool:
        """Whether the owner made a graph of this index: only in the tenant's own place, and only of a large one."""
        if place.role == NOBODY_ELSE:
            return False
        graphs = await under_way.connection.fetch(GRAPHS, place.statements.schema)
        name = graph_name(self._whose[1], index, dimensions)
        return any(each["relname"] == name and each["indisvalid"] for each in graphs)

    async def delete_all(self) -> int:
        """See `Partition.delete_all`."""

        async def work(under_way: Transaction, place: Place) -> int:
            await under_way.connection.fetchval(place.statements.lock, *self._whose, 0)
            deleted = _touched(await under_way.connection.execute(place.statements.delete_all, *self._whose))
            if place.has_vectors:
                deleted += _touched(await under_way.connection.execute(place.statements.delete_vectors, *self._whose))
            await under_way.connection.execute(place.statements.forget, *self._whose)
            return deleted

        return await self._backend.change(self._whose, work)


def _require_vectors(place: Place) -> None:
    if not place.has_vectors:
        schema = place.statements.schema
        raise StoreUnavailable(f"there is no table of vectors in `{schema}`; run `{MIGRATE_COMMAND} CONFIG`")


def _row(record: asyncpg.Record) -> Row:
    return Row(*record)


def _touched(said: str) -> int:
    """How many rows a statement says that it changed: `UPDATE 1`, `INSERT 0 1`."""
    return int(said.rpartition(" ")[2])
