"""What a backend of values is: partitions of sealed values that are forgotten by themselves.

Promises (of every backend; tests/stores/test_values.py holds them to it): a partition reaches the values of one tenant
and store, chosen when it was made and never by a value in a call. Keys and groups are keyed hashes made above, compared
byte for byte; an empty one is refused before anything is asked. A value is given back whole or not at all, and never
after its time. Counters are exact: two that add at once both count.

Doesn't promise: to keep anything. A value may be gone at any moment before its time (no room, a restart), so it is
nothing that somebody would miss. Nor to know whose a value is, beyond the partition: the seal and its inside say that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, Protocol

from partywall.stores.backends.base import check_limit, check_name
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = [
    "LARGEST_AMOUNT",
    "LONGEST_TTL_SECONDS",
    "LONGEST_VALUE_BYTES",
    "ValueBackend",
    "ValuePartition",
    "check_add",
    "check_members",
    "check_name",
    "check_put",
    "check_store",
]

LONGEST_VALUE_BYTES: Final = 8 * 2**20
LONGEST_TTL_SECONDS: Final = 366 * 86_400.0
LARGEST_AMOUNT: Final = 2**53
_STORE = re.compile(r"[a-z]{1,32}", re.ASCII).fullmatch


class ValuePartition(Protocol):
    """The values of one tenant in one store. Each call raises StoreUnavailable when the engine can't be had."""

    async def get(self, key: bytes) -> bytes | None:
        """The value, or None: for one that isn't there, that is over, or that is of another partition, alike."""

    async def put(self, key: bytes, value: bytes, *, ttl_seconds: float, group: bytes | None = None) -> None:
        """Keep a value for so long, in the place of one that was there. With `group`, `members` lists it."""

    async def members(self, group: bytes, *, limit: int) -> Sequence[tuple[bytes, bytes]]:
        """At most `limit` keys and values of a group, those put last first, without what is over."""

    async def delete(self, key: bytes) -> None:
        """Forget a value; none is fine."""

    async def delete_all(self) -> int:
        """Forget everything in the partition, counters too, and return how many values and counters there were."""

    async def add(self, key: bytes, amount: int, *, ttl_seconds: float) -> int:
        """Add to a counter and return its total. The first to add to it begins its window of `ttl_seconds`.

        Nothing added looks; less than nothing gives back. Counters and values have keys of their own: a counter is no
        value, and room for values is never made by forgetting a counter.
        """


class ValueBackend(Protocol):
    """An engine with a partition for each tenant and store."""

    def partition(self, tenant: TenantId, store: str) -> ValuePartition:
        """That tenant's values. Nothing is opened or asked yet.

        Raises:
            InvalidTenantId: the id could mean another place.
            ValueError: the store's name could.
        """

    async def aclose(self) -> None:
        """Finish what is under way, and close."""


def check_store(tenant: TenantId, store: str) -> tuple[TenantId, str]:
    """Refuse a tenant or store whose name could mean another place.

    Raises:
        InvalidTenantId, ValueError: see `ValueBackend.partition`.
    """
    if _STORE(store) is None:
        raise ValueError(f"`{store[:40]!r}` is no store's name")
    return parse_tenant_id(tenant), store


def check_put(key: bytes, value: bytes, ttl_seconds: float, group: bytes | None) -> None:
    """Refuse a value without a place of its own, a time of its own, or an end."""
    check_name(key)
    if group is not None:
        check_name(group)
    _check_ttl(ttl_seconds)
    if type(value) is not bytes or not 1 <= len(value) <= LONGEST_VALUE_BYTES:
        raise ValueError(f"a value is 1 to {LONGEST_VALUE_BYTES} bytes")


def check_members(group: bytes, limit: int) -> None:
    """Refuse to list everything, and to list without end."""
    check_name(group)
    check_limit(limit)


def check_add(key: bytes, amount: int, ttl_seconds: float) -> None:
    """Refuse a counter without a place or a window, and an amount that an engine couldn't count exactly."""
    check_name(key)
    _check_ttl(ttl_seconds)
    if type(amount) is not int or abs(amount) > LARGEST_AMOUNT:
        raise ValueError(f"an amount is a whole number of at most {LARGEST_AMOUNT}")


def _check_ttl(ttl_seconds: float) -> None:
    if not math.isfinite(ttl_seconds) or not 0.001 <= ttl_seconds <= LONGEST_TTL_SECONDS:
        raise ValueError(f"a value is kept for a millisecond to {LONGEST_TTL_SECONDS:.0f} seconds")
