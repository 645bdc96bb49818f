"""Tokens verified less than a minute ago, so that each is verified once and not once per request.

Promises: a look-up takes the whole SHA-256 of the token (a cache keyed on a prefix let one user in as another:
CVE-2026-35030); nothing outlives its `fresh_until`; one tenant's tokens never displace another's, so what a tenant
finds cached tells it nothing of its neighbours until the whole cache is full.

Doesn't promise: to know of revoked tokens. Its 60 seconds are the longest that it can delay one.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, Protocol, TypeVar

from partywall.tenancy import TenantId

__all__ = ["TokenCache"]

MAX_ENTRIES: Final = 16_384
MAX_ENTRIES_PER_TENANT: Final = 1_024


class _Entry(Protocol):
    @property
    def tenant(self) -> TenantId: ...
    @property
    def fresh_until(self) -> float: ...


EntryT = TypeVar("EntryT", bound=_Entry)


class TokenCache(Generic[EntryT]):
    """Least recently used first out, within each tenant's share."""

    __slots__ = ("_entries", "_max_entries", "_max_per_tenant", "_shares", "_swept_at")

    def __init__(self, max_entries: int = MAX_ENTRIES, max_per_tenant: int = MAX_ENTRIES_PER_TENANT) -> None:
        self._entries: dict[bytes, EntryT] = {}
        self._shares: dict[TenantId, OrderedDict[bytes, None]] = {}
        self._max_entries = max_entries
        self._max_per_tenant = max_per_tenant
        self._swept_at = float("-inf")

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes, now: float) -> EntryT | None:
        """The entry under the full SHA-256 `digest`, if it is still fresh."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if now >= entry.fresh_until:
            self.drop(digest)
            return None
        self._shares[entry.tenant].move_to_end(digest)
        return entry

    def put(self, digest: bytes, entry: EntryT, now: float) -> None:
        """Keep `entry`, at the cost of the same tenant's oldest. When the whole cache is full it isn't kept."""
        self.drop(digest)
        share = self._shares.get(entry.tenant)
        if share is not None and len(share) >= self._max_per_tenant:
            self.drop(next(iter(share)))
        if len(self._entries) >= self._max_entries:
            self._sweep(now)
        if len(self._entries) < self._max_entries:
            self._entries[digest] = entry
            self._shares.setdefault(entry.tenant, OrderedDict())[digest] = None

    def drop(self, digest: bytes) -> None:
        """Forget one entry, if it is there."""
        entry = self._entries.pop(digest, None)
        if entry is not None:
            share = self._shares[entry.tenant]
            del share[digest]
            if not share:
                del self._shares[entry.tenant]

    def _sweep(self, now: float) -> None:
        """Drop what is stale, at most once a second: a full cache must not cost every request a walk through it."""
        if now < self._swept_at + 1:
            return
        self._swept_at = now
        for digest in [digest for digest, entry in self._entries.items() if now >= entry.fresh_until]:
            self.drop(digest)
