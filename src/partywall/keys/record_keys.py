"""The trail's own door to the keys: by tenant id, because a refusal is recorded for requests that never got a scope.

Promises: what one tenant's key sealed opens for that tenant and record alone; with a held key nothing is awaited.

Doesn't promise: to be a door for anybody else. Stores take a scope (`StoreKeys`); an import contract can't see the
difference, so `tests/keys/test_record_keys.py` lists who may name this class.
"""

from __future__ import annotations

from partywall.keys.key_store import PLATFORM
from partywall.keys.sealer import Sealer
from partywall.keys.tenant_keys import TenantStoreKeys
from partywall.tenancy import TenantId

__all__ = ["RecordKeys"]


class RecordKeys:
    """Seals and opens the halves of decision records. Get it from `KeyRing.records`. None is the platform itself."""

    __slots__ = ("_requestor", "_sealer")

    def __init__(self, sealer: Sealer, requestor: str) -> None:
        self._sealer = sealer
        self._requestor = requestor

    def of(self, tenant: TenantId | None) -> TenantStoreKeys:
        """One tenant's alone, for a worker that goes through its records."""
        return TenantStoreKeys(self._sealer, tenant or PLATFORM, self._requestor)

    def try_seal(self, tenant: TenantId | None, half: str, record_id: str, plaintext: bytes) -> bytes | None:
        """Seal, if the tenant's key is held; None when it must be had first.

        Raises:
            KeyUnavailable, SealBroken: it was asked for a moment ago, and can't be had.
        """
        work = self._sealer.seal(tenant or PLATFORM, self._requestor, half, record_id, plaintext)
        try:
            # One step, in which sealing ends when the key is held (`Sealer` promises it), and begins to wait when not.
            work.send(None)
        except StopIteration as done:
            sealed: bytes = done.value
            return sealed
        work.close()
        return None

    async def get_ready(self, tenant: TenantId | None) -> None:
        """Have the key that `try_seal` needs, made when the tenant has none.

        Raises:
            KeyUnavailable, KeyDestroyed, SealBroken: it can't be had.
        """
        await self._sealer.ready_to_seal(tenant or PLATFORM, self._requestor)

    async def open(self, tenant: TenantId | None, half: str, record_id: str, sealed: bytes) -> bytes:
        """Open.

        Raises:
            SealBroken: it wasn't sealed for this tenant and record, or was changed since.
            KeyUnavailable: the key can't be had (`KeyDestroyed`: ever again).
        """
        return await self._sealer.open(tenant or PLATFORM, self._requestor, half, record_id, sealed)
