"""One tenant's keys for one store: what a worker is given that goes through a store's records, and needs nothing else.

Promises: bound to a tenant when it is made, from a scope (`StoreKeys.of`) or at the trail's own door (`RecordKeys.of`);
no call on it names a tenant, so none can name another.

Doesn't promise: to notice that the scope it was made from has ended. It is made for one piece of work.
"""

from __future__ import annotations

from partywall.keys.sealer import Sealer
from partywall.tenancy import TenantId

__all__ = ["TenantStoreKeys"]


class TenantStoreKeys:
    """See the module."""

    __slots__ = ("_requestor", "_sealer", "tenant")

    def __init__(self, sealer: Sealer, tenant: TenantId, requestor: str) -> None:
        self.tenant = tenant
        self._sealer = sealer
        self._requestor = requestor

    @property
    def store(self) -> str:
        """The store's name."""
        return self._sealer.store

    async def seal(self, purpose: str, record_id: str, plaintext: bytes) -> bytes:
        """As `StoreKeys.seal`."""
        return await self._sealer.seal(self.tenant, self._requestor, purpose, record_id, plaintext)

    async def open(self, purpose: str, record_id: str, sealed: bytes) -> bytes:
        """As `StoreKeys.open`."""
        return await self._sealer.open(self.tenant, self._requestor, purpose, record_id, sealed)

    async def key_version(self) -> int:
        """The version of the tenant's key that seals now. Raises as `seal`."""
        return await self._sealer.key_version(self.tenant, self._requestor)

    def needs_reseal(self, sealed: bytes) -> bool:
        """Whether it was sealed under an older version. Raises SealBroken for what is no sealed record."""
        return self._sealer.needs_reseal(self.tenant, sealed)
