"""The one shape that all stores have: authorise, hash, seal, place; and back: fetch, open, verify.

Promises: every call takes the scope first and reaches that tenant's records only. What a store names (a group by its
purpose and parts, a record by its id) is never seen by the backend: it gets keyed hashes. A record that isn't there and
one that isn't the caller's give the same words and cost the same work. Several changes are made at once or not at all.

Doesn't promise: to merge. Of two who change a record at once, one is told so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from partywall.errors import BadRequest, KeyUnavailable, Missing, PayloadTooLarge, SealBroken, StoreUnavailable
from partywall.keys import TenantStoreKeys
from partywall.stores.backends import base
from partywall.stores.backends.base import (
    Change,
    Delete,
    DeleteGroup,
    Insert,
    Replace,
    Row,
    SweptPartition,
    VectorChange,
    VectorPartition,
)
from partywall.stores.fields import Page, check_page_size, check_word
from partywall.stores.records import Home, Record, encode
from partywall.stores.resealing import StoredRecords
from partywall.stores.walls import Walls, authorise
from partywall.tenancy import TenantId, TenantScope

__all__ = [
    "Collection",
    "Drop",
    "DropGroup",
    "DropIndex",
    "DropVectors",
    "Group",
    "Names",
    "Put",
    "PutVectors",
    "StoreChange",
]

_LARGEST_RECORD_BYTES: Final = 4 * 2**20
_ROWS_AT_ONCE: Final = 4
"""Of a page that is bounded in bytes: so many rows are in memory beyond it."""
_log = logging.getLogger(__name__)


_MOST_NAMES: Final = 10_000


class Group(NamedTuple):
    """Where records lie that are listed together: what they are for, and whose or which they are."""

    purpose: str
    parts: tuple[str, ...]


class Names:
    """What groups and ids of one tenant are hashed to, as far as was asked. It opens nothing."""

    __slots__ = ("groups", "places")

    def __init__(self) -> None:
        self.groups: dict[Group, bytes] = {}
        self.places: dict[tuple[Group, str], tuple[bytes, bytes]] = {}

    def bound(self) -> None:
        """Forget everything when it has become too much."""
        if len(self.groups) + len(self.places) > _MOST_NAMES:
            self.groups.clear()
            self.places.clear()


class Put(NamedTuple):
    """A new record (revision 0), or another body for the record with this revision."""

    group: Group
    id: str
    body: object
    revision: int = 0


class Drop(NamedTuple):
    """A record that goes, if it is there with this revision."""

    group: Group
    id: str
    revision: int | None = None


class DropGroup(NamedTuple):
    """All records of a group that go."""

    group: Group


class PutVectors(NamedTuple):
    """Vectors of the records of a group, numbered from `first`, in an index: in the clear, to be compared there."""

    within: Group
    group: Group
    first: int
    vectors: Sequence[Sequence[float]]


class DropVectors(NamedTuple):
    """All vectors of a group that go from an index."""

    within: Group
    group: Group


class DropIndex(NamedTuple):
    """An index that goes with all of its vectors."""

    within: Group


StoreChange: TypeAlias = Put | Drop | DropGroup | PutVectors | DropVectors | DropIndex


class Collection:
    """The records of every tenant in one store, behind its walls."""

    def __init__(self, walls: Walls, *, largest_record_bytes: int = _LARGEST_RECORD_BYTES) -> None:
        self._walls = walls
        self._largest = largest_record_bytes
        self.store: Final = walls.cryptography.store
        """Its name."""

    @property
    def walls(self) -> Walls:
        """The walls around it, for a store that has something of its own to hold against them."""
        return self._walls

    async def find(self, scope: TenantScope, group: Group, record_id: str) -> Record | None:
        """The record, or None when there is none that the caller may see.

        Raises:
            BadRequest: an empty or overlong id.
            KeyUnavailable, StoreUnavailable: it can't be told now.
        """
        authorise(scope)
        [(group_name, key)] = await self._named(scope, [(group, record_id)], Names())
        row = await self._walls.placement.partition(scope).get(group_name, key)
        if row is None:
            return None
        record = await self._walls.admit(scope, group.purpose, group_name, key, row)
        if record is not None:
            await self._renew(scope, [row])
        return record

    async def get(self, scope: TenantScope, group: Group, record_id: str) -> Record:
        """As `find`.

        Raises:
            Missing: there is none that the caller may see.
        """
        record = await self.find(scope, group, record_id)
        if record is None:
            raise self.missing(scope)
        return record

    async def find_many(
        self, scope: TenantScope, places: Sequence[tuple[Group, str]], *, names: Names | None = None
    ) -> list[Record | None]:
        """As `find`, for each of these groups and ids, as they all were at one moment.

        `names` remembers hashed names between calls on behalf of one tenant.
        """
        authorise(scope)
        names = Names() if names is None else names
        names.bound()
        found = await self._named(scope, places, names)
        rows = await self._walls.placement.partition(scope).get_many(found)
        records: list[Record | None] = []
        admitted: list[Row] = []
        for (group, _), name, row in zip(places, found, rows, strict=True):
            record = None if row is None else await self._walls.admit(scope, group.purpose, *name, row)
            records.append(record)
            if row is not None and record is not None:
                admitted.append(row)
        await self._renew(scope, admitted)
        return records

    async def page(
        self,
        scope: TenantScope,
        group: Group,
        *,
        after: str | None,
        limit: int,
        backwards: bool,
        most_bytes: int | None = None,
    ) -> Page[Record]:
        """The records of a group as they were put there, or the other way round, behind the one with the id `after`.

        With `most_bytes`, a page ends before the record with which it would be larger; it has at least one.

        Raises:
            Missing: there is no record `after` in the group.
            BadRequest, KeyUnavailable, StoreUnavailable: see `find`.
        """
        authorise(scope)
        check_page_size(limit)
        if after is None:
            [group_name], key = await self.group_names(scope, [group]), None
        else:
            [(group_name, key)] = await self._named(scope, [(group, after)], Names())
        partition = self._walls.placement.partition(scope)
        at_once = limit + 1 if most_bytes is None else min(limit + 1, _ROWS_AT_ONCE)
        records: list[Record] = []
        size = 0
        while True:
            rows = await partition.page(group_name, after=key, limit=at_once, backwards=backwards)
            if rows is None:
                raise self.missing(scope)
            admitted: list[Row] = []
            for row in rows:
                record = await self._walls.admit(scope, group.purpose, group_name, None, row)
                if record is None:
                    continue
                admitted.append(row)
                size += len(row.sealed)
                if len(records) == limit or (records and most_bytes is not None and size > most_bytes):
                    await self._renew(scope, admitted)
                    return Page(tuple(records), has_more=True)
                records.append(record)
            await self._renew(scope, admitted)
            # What was dropped leaves no gap and doesn't shorten a page: that would tell of it (R11).
            if len(rows) < at_once:
                return Page(tuple(records), has_more=False)
            key = rows[-1].key

    async def commit(self, scope: TenantScope, changes: Sequence[StoreChange]) -> bool:
        """Make all the changes at once; False, and none made, when a record isn't as one of them expects.

        Raises:
            BadRequest: an empty or overlong id, or a body that is no JSON.
            PayloadTooLarge: a body that is too large.
            KeyUnavailable, StoreUnavailable: nothing was changed, as far as is known.
        """
        authorise(scope)
        rows: list[Change] = []
        made: list[Change | VectorChange] = []
        names = await self._names_in(scope, changes)
        for change in changes:
            if isinstance(change, PutVectors | DropVectors | DropIndex):
                made.append(_placed(change, names))
            else:
                rows.append(await self._sealed(scope, change, names))
                made.append(rows[-1])
        if len(rows) == len(made):
            return await self._walls.placement.partition(scope).commit(rows)
        return await self._vectors_of(scope).commit(made)

    async def nearest(
        self, scope: TenantScope, index: Group, vector: Sequence[float], *, limit: int, groups: Sequence[bytes] | None
    ) -> Sequence[base.Near]:
        """Which vectors of an index are nearest to this one: a hint that says nothing of whose they are.

        `groups` are hashed names (see `group_names`) to which it is narrowed; None: whichever. None of them: nothing.

        Raises:
            KeyUnavailable, StoreUnavailable: it can't be told now, or this store's engine compares no vectors.
        """
        authorise(scope)
        if groups is not None and not groups:
            return []
        [name] = await self.group_names(scope, [index])
        return await self._vectors_of(scope).nearest(name, vector, limit=limit, groups=groups)

    async def sweep(self, scope: TenantScope, index: Group, groups: Sequence[bytes]) -> None:
        """Drop from an index what is left of groups, by their hashed names, of which no record is there."""
        partition = self._walls.placement.partition(authorise(scope))
        if isinstance(partition, SweptPartition):
            [name] = await self.group_names(scope, [index])
            await partition.sweep(name, groups)

    async def group_names(self, scope: TenantScope, groups: Sequence[Group]) -> list[bytes]:
        """What these groups of the scope's tenant are hashed to. It opens nothing."""
        authorise(scope)
        return await self._walls.cryptography.names(scope, [_path(group) for group in groups])

    async def erase(self, scope: TenantScope) -> int:
        """Delete everything of the scope's tenant in this store; returns how many records there were."""
        return await self._walls.placement.partition(authorise(scope)).delete_all()

    async def count(self, scope: TenantScope) -> int:
        """How many records of the scope's tenant lie in this store: for operators and proofs of deletion."""
        return await self._walls.placement.partition(authorise(scope)).count()

    async def size_for_operators(self, tenant: TenantId) -> int:
        """How many records of a tenant lie in this store, without a scope: see `Placement.size_for_operators`."""
        return await self._walls.placement.size_for_operators(tenant)

    def resealable(self, scope: TenantScope) -> tuple[TenantStoreKeys, StoredRecords]:
        """What `keys.reseal_all` needs in order to bring the tenant's records in this store to its current key."""
        return self._walls.cryptography.of(scope), StoredRecords(self._walls.placement.partition(scope))

    def missing(self, scope: TenantScope) -> Missing:
        """The one refusal for what isn't there and for what isn't the caller's."""
        return Missing(f"no such record in `{self.store}` of `{scope.tenant}`")

    # -- Steps ---

    async def _renew(self, scope: TenantScope, rows: Sequence[Row]) -> None:
        """Seal anew what was met under an old version of the tenant's key: lazily, as it is read.

        A reader gets what it asked for whether or not this can be done; `keys reseal` does what is left.
        """
        cryptography = self._walls.cryptography
        old = [row for row in rows if cryptography.is_old(scope, row.sealed)]
        if not old:
            return
        try:
            await self._walls.placement.partition(scope).commit([await cryptography.renewed(scope, row) for row in old])
        except (KeyUnavailable, StoreUnavailable, SealBroken) as error:
            _log.warning("old records of `%s` in `%s` keep their seals for now: %s", scope.tenant, self.store, error)

    def _vectors_of(self, scope: TenantScope) -> VectorPartition:
        partition = self._walls.placement.partition(scope)
        if not isinstance(partition, VectorPartition):
            raise StoreUnavailable(f"vectors of `{scope.tenant}` are compared by PostgreSQL, and this isn't one")
        return partition

    async def _sealed(self, scope: TenantScope, change: Put | Drop | DropGroup, names: Names) -> Change:
        match change:
            case DropGroup(group):
                return DeleteGroup(names.groups[group])
            case Drop(group, record_id, revision):
                return Delete(*names.places[group, record_id], revision)
            case Put(group, record_id, body, revision):
                group_name, key = names.places[group, record_id]
                home = Home(scope.tenant, self.store, group.purpose, group_name, key, revision + 1)
                plaintext = encode(home, record_id, body)
                if len(plaintext) > self._largest:
                    raise PayloadTooLarge(f"a record of `{self.store}` has {len(plaintext)} bytes")
                sealed = await self._walls.cryptography.seal(scope, home, plaintext)
                if revision == 0:
                    return Insert(group_name, key, sealed)
                return Replace(group_name, key, revision, sealed)

    async def _names_in(self, scope: TenantScope, changes: Sequence[StoreChange]) -> Names:
        """What is named by these changes."""
        names = Names()
        groups: dict[Group, None] = {}
        places: list[tuple[Group, str]] = []
        for change in changes:
            match change:
                case Put(group, record_id) | Drop(group, record_id):
                    places.append((group, record_id))
                case DropGroup(group) | DropIndex(group):
                    groups[group] = None
                case PutVectors(within, group) | DropVectors(within, group):
                    groups |= {within: None, group: None}
        await self._learn(scope, list(groups), names)
        await self._named(scope, places, names)
        return names

    async def _learn(self, scope: TenantScope, groups: Sequence[Group], names: Names) -> None:
        names.groups.update(zip(groups, await self.group_names(scope, groups), strict=True))

    async def _named(
        self, scope: TenantScope, places: Sequence[tuple[Group, str]], names: Names
    ) -> list[tuple[bytes, bytes]]:
        """Group and key of each of these places, hashed together as far as `names` hasn't them, and remembered."""
        for _, record_id in places:
            check_word(record_id, "an id")
        new = [place for place in places if place not in names.places]
        if new:
            await self._learn(scope, list({group: None for group, _ in new if group not in names.groups}), names)
            paths = [_path(group, record_id) for group, record_id in new]
            for place, key in zip(new, await self._walls.cryptography.names(scope, paths), strict=True):
                names.places[place] = names.groups[place[0]], key
        return [names.places[place] for place in places]


def _placed(change: PutVectors | DropVectors | DropIndex, names: Names) -> VectorChange:
    match change:
        case PutVectors(index, group, first, vectors):
            return base.PutVectors(names.groups[index], names.groups[group], first, vectors)
        case DropVectors(index, group):
            return base.DropVectors(names.groups[index], names.groups[group])
        case DropIndex(index):
            return base.DropIndex(names.groups[index])


def _path(group: Group, record_id: str | None = None) -> tuple[str, ...]:
    """What is hashed for a group, or for a record in it.

    Raises:
        BadRequest: a group that could mean every group.
    """
    if not group.parts or not all(group.parts):
        raise BadRequest("a group without a name would mean everything")
    if record_id is None:
        return ("group", group.purpose, *group.parts)
    return ("key", group.purpose, *group.parts, record_id)
