"""Values in this process: the embedded backend, gone when it ends and not shared with another.

Promises: each tenant has so many bytes of its own and makes room only among its own values, those first that were used
longest ago; so a neighbour's load moves nothing here. There is a bound in all besides. It is the operator's to choose
it so that it isn't reached (tenants times the bytes of each); if it is, whoever has most gives way, so that nobody
loses a value to somebody larger.

Doesn't promise: to keep counters over a restart, or between two processes.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from partywall.errors import StoreUnavailable
from partywall.stores.backends.values import check_add, check_members, check_name, check_put, check_store
from partywall.tenancy import TenantId

__all__ = ["MemoryBounds", "MemoryValues"]

_MOST_COUNTERS: Final = 100_000
_OVERHEAD_BYTES: Final = 400
"""What Python needs for an entry besides its key and value, about."""

_Place = tuple[str, bytes]
"""A store of the tenant's, and a key or group in it."""


class MemoryBounds(NamedTuple):
    """How much is kept."""

    bytes_per_tenant: int = 32 * 2**20
    bytes_in_all: int = 512 * 2**20


@dataclass(slots=True)
class _Value:
    value: bytes
    until: float
    group: bytes | None
    size: int


@dataclass(slots=True)
class _Counter:
    total: int
    until: float


@dataclass(slots=True)
class _Room:
    """What one tenant has."""

    values: OrderedDict[_Place, _Value] = field(default_factory=OrderedDict)
    """Those used longest ago first."""
    groups: dict[_Place, dict[bytes, None]] = field(default_factory=dict)
    """The keys of each group, those put last behind."""
    counters: dict[_Place, _Counter] = field(default_factory=dict)
    size: int = 0

    def drop(self, place: _Place) -> int:
        """Forget a value, if it is there; returns how many bytes that makes free."""
        entry = self.values.pop(place, None)
        if entry is None:
            return 0
        if entry.group is not None:
            group = (place[0], entry.group)
            keys = self.groups[group]
            del keys[place[1]]
            if not keys:
                del self.groups[group]
        self.size -= entry.size
        return entry.size


class MemoryValues:
    """Every tenant's values. Made on the event loop that uses it."""

    def __init__(
        self,
        bounds: MemoryBounds = MemoryBounds(),  # noqa: B008 - it is frozen
        *,
        most_counters: int = _MOST_COUNTERS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most_counters` is for each tenant: one more is refused, since forgetting one would let its user go on."""
        self._most_of_one, self._most = bounds
        self._most_counters = most_counters
        self._monotonic = monotonic
        self._rooms: dict[TenantId, _Room] = {}
        self._size = 0

    @property
    def size_bytes(self) -> int:
        """How much is kept, in all."""
        return self._size

    def partition(self, tenant: TenantId, store: str) -> MemoryValuePartition:
        """See `ValueBackend.partition`."""
        return MemoryValuePartition(self, *check_store(tenant, store))

    async def aclose(self) -> None:
        """Forget everything."""
        self._rooms.clear()
        self._size = 0

    # -- For partitions: nothing here awaits, so that each is one step to everybody else ---------------------------

    def look(self, tenant: TenantId, place: _Place) -> bytes | None:
        """The value at a place of the tenant's, if its time isn't over."""
        room = self._rooms.get(tenant)
        entry = None if room is None else room.values.get(place)
        if room is None or entry is None:
            return None
        if entry.until <= self._monotonic():
            self._size -= room.drop(place)
            return None
        room.values.move_to_end(place)
        return entry.value

    def keep(self, tenant: TenantId, place: _Place, value: bytes, ttl_seconds: float, group: bytes | None) -> None:
        """Put a value at a place of the tenant's, and make room."""
        size = len(place[1]) + len(value) + len(group or b"") + _OVERHEAD_BYTES
        room = self._rooms.setdefault(tenant, _Room())
        self._size -= room.drop(place)
        if size > min(self._most_of_one, self._most):
            return
        room.values[place] = _Value(value, self._monotonic() + ttl_seconds, group, size)
        if group is not None:
            room.groups.setdefault((place[0], group), {})[place[1]] = None
        room.size += size
        self._size += size
        while room.size > self._most_of_one:
            self._size -= room.drop(next(iter(room.values)))
        while self._size > self._most:
            largest = max(self._rooms.values(), key=lambda each: each.size)
            self._size -= largest.drop(next(iter(largest.values)))

    def members(self, tenant: TenantId, place: _Place, limit: int) -> list[tuple[bytes, bytes]]:
        """The values of a group of the tenant's, those put last first."""
        room = self._rooms.get(tenant)
        found: list[tuple[bytes, bytes]] = []
        if room is None:
            return found
        for key in list(reversed(room.groups.get(place, {}))):
            if len(found) == limit:
                break
            value = self.look(tenant, (place[0], key))
            if value is not None:
                found.append((key, value))
        return found

    def forget(self, tenant: TenantId, place: _Place) -> None:
        """Drop a value of the tenant's."""
        if (room := self._rooms.get(tenant)) is not None:
            self._size -= room.drop(place)

    def forget_store(self, tenant: TenantId, store: str) -> int:
        """Drop everything in a store of the tenant's."""
        room = self._rooms.get(tenant)
        if room is None:
            return 0
        places = [place for place in room.values if place[0] == store]
        counters = [place for place in room.counters if place[0] == store]
        for place in places:
            self._size -= room.drop(place)
        for place in counters:
            del room.counters[place]
        if not room.values and not room.counters:
            del self._rooms[tenant]
        return len(places) + len(counters)

    def count(self, tenant: TenantId, place: _Place, amount: int, ttl_seconds: float) -> int:
        """Add to a counter of the tenant's."""
        room = self._rooms.setdefault(tenant, _Room())
        now = self._monotonic()
        counter = room.counters.get(place)
        if counter is None or counter.until <= now:
            if counter is None and len(room.counters) >= self._most_counters:
                room.counters = {at: each for at, each in room.counters.items() if each.until > now}
                if len(room.counters) >= self._most_counters:
                    raise StoreUnavailable(f"`{tenant}` has {self._most_counters} counters, and none is over")
            counter = room.counters[place] = _Counter(0, now + ttl_seconds)
        counter.total += amount
        return counter.total


class MemoryValuePartition:
    """See `ValuePartition`."""

    __slots__ = ("_backend", "_store", "_tenant")

    def __init__(self, backend: MemoryValues, tenant: TenantId, store: str) -> None:
        self._backend = backend
        self._tenant: Final = tenant
        self._store: Final = store

    async def get(self, key: bytes) -> bytes | None:
        """See `ValuePartition`."""
        check_name(key)
        return self._backend.look(self._tenant, (self._store, key))

    async def put(self, key: bytes, value: bytes, *, ttl_seconds: float, group: bytes | None = None) -> None:
        """See `ValuePartition`."""
        check_put(key, value, ttl_seconds, group)
        self._backend.keep(self._tenant, (self._store, key), value, ttl_seconds, group)

    async def members(self, group: bytes, *, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """See `ValuePartition`."""
        check_members(group, limit)
        return self._backend.members(self._tenant, (self._store, group), limit)

    async def delete(self, key: bytes) -> None:
        """See `ValuePartition`."""
        check_name(key)
        self._backend.forget(self._tenant, (self._store, key))

    async def delete_all(self) -> int:
        """See `ValuePartition`."""
        return self._backend.forget_store(self._tenant, self._store)

    async def add(self, key: bytes, amount: int, *, ttl_seconds: float) -> int:
        """See `ValuePartition`."""
        check_add(key, amount, ttl_seconds)
        return self._backend.count(self._tenant, (self._store, key), amount, ttl_seconds)
