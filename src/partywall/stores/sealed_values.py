"""Records that end by themselves, in a backend of values, behind the same three walls as those in a collection.

Promises: what lies there is sealed for one tenant, store, purpose and place, found under a keyed hash, and says inside
where it belongs; what doesn't is no record, and an alarm. Ids are text of ours, never a caller's unhashed.

Doesn't promise: revisions. What is put takes the place of what was there, and whoever may write to the engine can put
an old record back in its place while its time isn't over.
"""

from __future__ import annotations

from typing import Final

from partywall.errors import PayloadTooLarge
from partywall.stores.backends.base import Row
from partywall.stores.records import Home, Record, encode
from partywall.stores.walls import ValuePlacement, Walls
from partywall.tenancy import TenantScope

__all__ = ["SealedValues"]

_LARGEST_BYTES: Final = 2**20


class SealedValues:
    """The records of every tenant in one store of a backend of values."""

    def __init__(self, placement: ValuePlacement, walls: Walls) -> None:
        """`walls` are those of the store of the same name: its keys, its verification, and who hears the alarm."""
        self._placement = placement
        self._walls = walls

    async def put(self, scope: TenantScope, purpose: str, record_id: str, body: object, *, ttl_seconds: float) -> None:
        """Keep a record for so long.

        Raises:
            PayloadTooLarge: it is larger than a megabyte.
            KeyUnavailable, StoreUnavailable: it can't be kept.
        """
        home = await self._home(scope, purpose, record_id)
        plaintext = encode(home, record_id, body)
        if len(plaintext) > _LARGEST_BYTES:
            raise PayloadTooLarge(f"a record of `{home.store}` has {len(plaintext)} bytes")
        sealed = await self._walls.cryptography.seal(scope, home, plaintext)
        await self._placement.partition(scope).put(home.key, sealed, ttl_seconds=ttl_seconds)

    async def find(self, scope: TenantScope, purpose: str, record_id: str) -> Record | None:
        """The record, or None when there is none that the caller may see.

        Raises:
            KeyUnavailable, StoreUnavailable: it can't be told now.
        """
        home = await self._home(scope, purpose, record_id)
        sealed = await self._placement.partition(scope).get(home.key)
        if sealed is None:
            return None
        row = Row(home.group, home.key, home.revision, sealed)
        return await self._walls.admit(scope, purpose, home.group, home.key, row)

    async def drop(self, scope: TenantScope, purpose: str, record_id: str) -> None:
        """Forget a record; none is fine. Raises StoreUnavailable."""
        home = await self._home(scope, purpose, record_id)
        await self._placement.partition(scope).delete(home.key)

    async def erase(self, scope: TenantScope) -> int:
        """Forget everything of the scope's tenant in this store; returns how many there were."""
        return await self._placement.partition(scope).delete_all()

    async def _home(self, scope: TenantScope, purpose: str, record_id: str) -> Home:
        cryptography = self._walls.cryptography
        group = await cryptography.name(scope, "value group", purpose)
        key = await cryptography.name(scope, "value", purpose, record_id)
        return Home(scope.tenant, cryptography.store, purpose, group, key, 1)
