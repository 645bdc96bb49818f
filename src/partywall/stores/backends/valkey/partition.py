"""The values of one tenant in one store, as keys of the tenant's user.

Promises: what `values.ValuePartition` does. Each call is one command, or one MULTI, so nothing is half done. The engine
itself forgets what is over. Since nobody may enumerate keys, what is there stands in indexes of the partition's own.

Doesn't promise: to keep more than `MOST_VALUES` values of a store, or `MOST_MEMBERS` of a group: those that would end
first, and those put first, make room. Counters never do. The order of what several processes put is that of their
clocks.

Below the tenant's prefix and the store's name, a key ends in:

    v<key>    a value: one byte with the length of its group's name, that name, and the value
    g<group>  a sorted set: the keys of a group, by when they were put
    c<key>    a counter
    i, j      sorted sets: which values and groups (i), and which counters (j) there are, by when they end
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from partywall.errors import StoreUnavailable
from partywall.stores.backends.valkey.connections import Command
from partywall.stores.backends.valkey.places import prefix_of
from partywall.stores.backends.values import check_add, check_members, check_name, check_put
from partywall.tenancy import TenantId

if TYPE_CHECKING:
    from partywall.stores.backends.valkey.backend import ValkeyBackend

__all__ = ["MOST_MEMBERS", "MOST_VALUES", "ValkeyPartition"]

MOST_VALUES: Final = 100_000
MOST_MEMBERS: Final = 10_000
_AT_ONCE: Final = 64
"""So many values are fetched, or deleted, by one command."""
_SLACK_MS: Final = 86_400_000
"""How wrong clocks may be: so long, an index knows more than there is."""


class ValkeyPartition:
    """See `ValuePartition`."""

    __slots__ = ("_backend", "_most", "_prefix", "_tenant")

    def __init__(self, backend: ValkeyBackend, tenant: TenantId, store: str, most_values: int = MOST_VALUES) -> None:
        self._backend = backend
        self._tenant: Final = tenant
        self._prefix: Final = f"{prefix_of(tenant)}{store}:".encode()
        self._most = most_values

    async def get(self, key: bytes) -> bytes | None:
        """See `ValuePartition`."""
        check_name(key)
        (stored,) = await self._ask(("GET", self._at(b"v", key)))
        return None if stored is None else _unpacked(stored)[1]

    async def put(self, key: bytes, value: bytes, *, ttl_seconds: float, group: bytes | None = None) -> None:
        """See `ValuePartition`."""
        check_put(key, value, ttl_seconds, group)
        name, ttl_ms, now_ms = group or b"", max(1, round(ttl_seconds * 1000)), time.time_ns() // 1_000_000
        commands: list[Command] = [
            ("SET", self._at(b"v", key), bytes([len(name)]) + name + value, "PX", ttl_ms),
            *self._listed(b"i", b"v" + key, now_ms, ttl_ms),
        ]
        if group is not None:
            members = self._at(b"g", group)
            commands += [
                ("ZADD", members, self._backend.tick(), key),
                ("ZREMRANGEBYRANK", members, 0, -MOST_MEMBERS - 1),
                *_living(members, ttl_ms),
                *self._listed(b"i", b"g" + group, now_ms, ttl_ms),
            ]
        *_, there = await self._ask(*commands, ("ZCARD", self._at(b"i")))
        if _number(there) > self._most:
            await self._make_room(_number(there) - self._most)

    async def members(self, group: bytes, *, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """See `ValuePartition`."""
        check_members(group, limit)
        members, found, start = self._at(b"g", group), list[tuple[bytes, bytes]](), 0
        while len(found) < limit:
            (keys,) = await self._ask(("ZRANGE", members, start, start + _AT_ONCE - 1, "REV"))
            names = _names(keys)
            if not names:
                break
            (values,) = await self._ask(("MGET", *(self._at(b"v", name) for name in names)))
            gone = []
            for name, stored in zip(names, _list(values), strict=True):
                of, value = (None, b"") if stored is None else _unpacked(stored)
                if of == group:
                    found.append((name, value))
                else:
                    gone.append(name)  # over, or put again elsewhere
            if gone:
                await self._ask(("ZREM", members, *gone))
            start += len(names) - len(gone)
        return found[:limit]

    async def delete(self, key: bytes) -> None:
        """See `ValuePartition`."""
        check_name(key)
        await self._ask(("DEL", self._at(b"v", key)), ("ZREM", self._at(b"i"), b"v" + key))

    async def delete_all(self) -> int:
        """See `ValuePartition`."""
        deleted = 0
        for index in (b"i", b"j"):
            while True:
                (listed,) = await self._ask(("ZRANGE", self._at(index), 0, _AT_ONCE - 1))
                if not (names := _names(listed)):
                    break
                deleted += await self._forget(index, names)
        return deleted

    async def add(self, key: bytes, amount: int, *, ttl_seconds: float) -> int:
        """See `ValuePartition`."""
        check_add(key, amount, ttl_seconds)
        counter = self._at(b"c", key)
        ttl_ms, now_ms = max(1, round(ttl_seconds * 1000)), time.time_ns() // 1_000_000
        _, total, *_ = await self._backend.ask(
            self._tenant,
            ("SET", counter, 0, "PX", ttl_ms, "NX"),
            ("INCRBY", counter, amount),
            *self._listed(b"j", b"c" + key, now_ms, ttl_ms),
            once=amount != 0,
        )
        return _number(total)

    # -- Steps -------------------------------------------------------------------------------------------------------

    async def _ask(self, *commands: Command) -> list[object]:
        return await self._backend.ask(self._tenant, *commands)

    def _at(self, kind: bytes, name: bytes = b"") -> bytes:
        return self._prefix + kind + name

    def _listed(self, index: bytes, name: bytes, now_ms: int, ttl_ms: int) -> list[Command]:
        """Write a name into an index; and drop from it what ended long ago."""
        there = self._at(index)
        return [
            ("ZADD", there, "GT", now_ms + ttl_ms, name),
            ("ZREMRANGEBYSCORE", there, "-inf", now_ms - _SLACK_MS),
            *_living(there, ttl_ms + _SLACK_MS),
        ]

    async def _make_room(self, count: int) -> None:
        (listed,) = await self._ask(("ZRANGE", self._at(b"i"), 0, min(count, _AT_ONCE) - 1))
        if names := _names(listed):
            await self._forget(b"i", names)

    async def _forget(self, index: bytes, names: Sequence[bytes]) -> int:
        """Delete what these names of an index stand for; how many values and counters there were."""
        counted = [self._at(b"", name) for name in names if not name.startswith(b"g")]
        groups = [self._at(b"", name) for name in names if name.startswith(b"g")]
        commands: list[Command] = [("DEL", *keys) for keys in (counted, groups) if keys]
        replies = await self._ask(*commands, ("ZREM", self._at(index), *names))
        return _number(replies[0]) if counted else 0


def _living(key: bytes, ttl_ms: int) -> list[Command]:
    """Let a key live for at least so long: whether it has an end already or not."""
    return [("PEXPIRE", key, ttl_ms, "NX"), ("PEXPIRE", key, ttl_ms, "GT")]


def _unpacked(stored: object) -> tuple[bytes, bytes]:
    """The group of a value, and the value."""
    if not isinstance(stored, bytes) or not stored or len(stored) <= stored[0] + 1:
        raise StoreUnavailable("the cache server holds something else than this version writes")
    end = stored[0] + 1
    return stored[1:end], stored[end:]


def _list(reply: object) -> list[object]:
    if not isinstance(reply, list):
        raise StoreUnavailable("the cache server answered with something else than a list")
    return reply


def _names(reply: object) -> list[bytes]:
    return [name for name in _list(reply) if isinstance(name, bytes)]


def _number(reply: object) -> int:
    try:
        return int(reply)  # type: ignore[call-overload, no-any-return] # whatever isn't a number raises
    except (TypeError, ValueError):
        raise StoreUnavailable("the cache server answered with something else than a number") from None
