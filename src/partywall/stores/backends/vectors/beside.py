"""Rows in a record backend, vectors in an engine outside, and both in step.

    1  vectors are put first, under names that nobody else can make; what is put twice takes its own place
    2  the rows' commit decides. If it fails, what was put is removed; if the process dies here, orphans are left
    3  what is dropped goes from the engine only when the rows are gone

Promises: a vector has its rows, or is an orphan: known again as this tenant's, of a group of which no row is there.
Orphans are harmless, since a hint without rows opens nothing, and go when they are met (`sweep`). A hint that
isn't known again as this tenant's and this index's comes out without a group, for whoever asked to drop and tell.
Nothing is dropped under a name that may be used again: groups and indexes are named anew each time (`documents`).

Doesn't promise: that an engine that couldn't be asked after step 2 loses the vectors at once. It is asked again before
this tenant's next change; if the process ends first, they lie there without rows until they are met or the tenant goes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from partywall.errors import StoreUnavailable
from partywall.stores.backends.base import (
    LONGEST_PAGE,
    Backend,
    Change,
    DropIndex,
    DropVectors,
    Near,
    Partition,
    PutVectors,
    Row,
    Scan,
    VectorChange,
    check_changes,
    check_nearest,
)
from partywall.stores.backends.vectors.engine import Found, Point, Room, VectorEngine
from partywall.stores.backends.vectors.names import TenantNames
from partywall.tenancy import TenantId

__all__ = ["BesideBackend", "BesidePartition", "SecretOf"]

SecretOf: TypeAlias = Callable[[TenantId], Awaitable[bytes]]
"""32 bytes that are this tenant's alone and stay the same, also when its own keys are gone."""
Drop: TypeAlias = DropVectors | DropIndex

_GROUPS_AT_ONCE: Final = 500
_MORE: Final = 100
"""How many more are asked for than wanted: of equally near ones, the engine doesn't know which came first."""
_log = logging.getLogger(__name__)


class BesideBackend:
    """A record backend whose partitions of one store have their vectors in an engine."""

    def __init__(self, rows: Backend, engine: VectorEngine, secret_of: SecretOf, *, store: str) -> None:
        """Both are closed with it."""
        self._rows = rows
        self.engine: Final = engine
        self._secret_of = secret_of
        self._store = store
        self._names: dict[TenantId, TenantNames] = {}
        self.owed: Final[dict[TenantId, list[Drop]]] = {}
        """What couldn't be dropped yet."""
        self._last = 0

    def partition(self, tenant: TenantId, store: str) -> Partition:
        """See `Backend.partition`."""
        rows = self._rows.partition(tenant, store)
        return BesidePartition(self, rows, tenant) if store == self._store else rows

    async def aclose(self) -> None:
        """See `Backend.aclose`."""
        try:
            await self.engine.aclose()
        finally:
            await self._rows.aclose()

    async def names(self, tenant: TenantId) -> TenantNames:
        """Those of a tenant."""
        found = self._names.get(tenant)
        if found is None:
            found = self._names[tenant] = TenantNames(tenant, await self._secret_of(tenant))
        return found

    def now(self) -> int:
        """Later than whatever it said before, in microseconds."""
        self._last = max(self._last + 1, time.time_ns() // 1000)
        return self._last


class BesidePartition:
    """See `VectorPartition` and `SweptPartition`."""

    __slots__ = ("_backend", "_rows", "_tenant")

    def __init__(self, backend: BesideBackend, rows: Partition, tenant: TenantId) -> None:
        self._backend = backend
        self._rows = rows
        self._tenant = tenant

    # -- Rows, as they are ---

    async def get(self, group: bytes, key: bytes) -> Row | None:
        """See `Partition.get`."""
        return await self._rows.get(group, key)

    async def get_many(self, places: Sequence[tuple[bytes, bytes]]) -> Sequence[Row | None]:
        """See `Partition.get_many`."""
        return await self._rows.get_many(places)

    async def page(
        self, group: bytes, *, after: bytes | None = None, limit: int, backwards: bool = False
    ) -> Sequence[Row] | None:
        """See `Partition.page`."""
        return await self._rows.page(group, after=after, limit=limit, backwards=backwards)

    async def scan(self, *, after: bytes | None = None, limit: int) -> Scan:
        """See `Partition.scan`."""
        return await self._rows.scan(after=after, limit=limit)

    # -- Both ---

    async def count(self) -> int:
        """See `Partition.count`."""
        names = await self._backend.names(self._tenant)
        return await self._rows.count() + await self._backend.engine.count(names.whose)

    async def delete_all(self) -> int:
        """See `Partition.delete_all`. Vectors first: while they can't be deleted, rows say that there is something."""
        names = await self._backend.names(self._tenant)
        vectors = await self._backend.engine.count(names.whose)
        await self._backend.engine.drop_all(names.whose)
        self._backend.owed.pop(self._tenant, None)
        return vectors + await self._rows.delete_all()

    async def commit(self, changes: Sequence[Change | VectorChange]) -> bool:
        """See `VectorPartition.commit`. A vector of a number that is there is replaced."""
        changes = tuple(changes)
        check_changes(changes)
        rows: list[Change] = []
        puts: list[PutVectors] = []
        drops: list[Drop] = []
        for change in changes:
            match change:
                case PutVectors():
                    puts.append(change)
                case DropVectors() | DropIndex():
                    drops.append(change)
                case _:
                    rows.append(change)
        _check_apart(puts, drops)
        if not puts and not drops:
            return await self._rows.commit(rows)
        names = await self._backend.names(self._tenant)
        await self._pay(names)
        put = self._points(names, puts)
        for room, points in put:
            await self._backend.engine.put(room, points)
        if rows and not await self._rows.commit(rows):
            for room, points in put:
                await self._take_back(room, points)
            return False
        await self._drop(names, drops)
        return True

    def _points(self, names: TenantNames, puts: Sequence[PutVectors]) -> list[tuple[Room, list[Point]]]:
        rooms: dict[Room, list[Point]] = {}
        for index, group, first, vectors in puts:
            at = self._backend.now()
            for number, vector in enumerate(vectors, first):
                point = Point(names.point(index, group, number), group.hex(), number, at, vector)
                rooms.setdefault(names.room(index, len(vector)), []).append(point)
        return list(rooms.items())

    async def _take_back(self, room: Room, points: Sequence[Point]) -> None:
        try:
            await self._backend.engine.remove(room, [each.id for each in points])
        except StoreUnavailable as error:
            _log.warning("vectors of `%s` that don't count are left until they are met: %s", self._tenant, error)

    async def _drop(self, names: TenantNames, drops: Sequence[Drop]) -> None:
        """Drop what has no rows any more; what can't be dropped now is owed."""
        left = list(drops)
        try:
            while left:
                await self._drop_one(names, left[0])
                del left[0]
        except StoreUnavailable as error:
            _log.warning("vectors of `%s` whose rows are gone will be dropped later: %s", self._tenant, error)
        finally:  # a caller that leaves, too
            if left:
                self._backend.owed.setdefault(self._tenant, []).extend(left)

    async def _pay(self, names: TenantNames) -> None:
        owed = self._backend.owed.get(self._tenant, [])
        while owed:
            drop = owed.pop()  # before it is awaited, or two would pay the same and forget another
            try:
                await self._drop_one(names, drop)
            except BaseException:  # a caller that leaves, too
                owed.append(drop)
                raise

    async def _drop_one(self, names: TenantNames, drop: Drop) -> None:
        index = names.index(drop.within)
        if isinstance(drop, DropIndex):
            await self._backend.engine.drop_index(names.whose, index)
        else:
            await self._backend.engine.drop_group(names.whose, index, drop.group.hex())

    async def nearest(
        self, index: bytes, vector: Sequence[float], *, limit: int, groups: Sequence[bytes] | None = None
    ) -> Sequence[Near]:
        """See `VectorPartition.nearest`."""
        check_nearest(index, vector, limit, groups)
        names = await self._backend.names(self._tenant)
        room, engine = names.room(index, len(vector)), self._backend.engine
        found: list[Found] = []
        if groups is None:
            found += await engine.nearest(room, vector, limit=limit + _MORE, groups=None)
        else:
            among = [group.hex() for group in groups]
            for start in range(0, len(among), _GROUPS_AT_ONCE):
                some = among[start : start + _GROUPS_AT_ONCE]
                found += await engine.nearest(room, vector, limit=limit + _MORE, groups=some)
        found.sort(key=lambda each: (-each.score, each.at, each.number))
        return [Near(names.group_of(index, each), each.number, each.score) for each in found[:limit]]

    async def sweep(self, index: bytes, groups: Sequence[bytes]) -> None:
        """See `SweptPartition.sweep`."""
        names = await self._backend.names(self._tenant)
        for group in groups[:LONGEST_PAGE]:
            if not await self._rows.page(group, limit=1):
                await self._drop_one(names, DropVectors(index, group))


def _check_apart(puts: Sequence[PutVectors], drops: Sequence[Drop]) -> None:
    """Refuse to put and drop the same at once: all that is put comes before all that is dropped."""
    for drop in drops:
        for put in puts:
            if drop.within == put.within and (isinstance(drop, DropIndex) or drop.group == put.group):
                raise ValueError("vectors are put and dropped under the same name in one commit")
