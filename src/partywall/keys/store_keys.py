"""What the rest of partywall seals and opens with.

Promises: the tenant is the scope's, and the store is fixed, so a caller chooses a purpose and a record id and nothing
else. What opens was sealed for exactly these. Another tenant's record raises `SealBroken` and an alarm; so does one
that was changed, moved or cut.

Doesn't promise: to hide how long a record is, or that an old copy of a record was put back.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TypeVar

from partywall.keys.key_store import PLATFORM
from partywall.keys.sealer import Sealer
from partywall.keys.tenant_keys import TenantStoreKeys
from partywall.tenancy import TenantScope

__all__ = ["PlatformKeys", "StoreKeys"]

_T = TypeVar("_T")
Work = Coroutine[object, object, _T]
"""To be awaited. These methods are not `async` themselves, for a second coroutine would cost what sealing costs."""


class StoreKeys:
    """Every tenant's keys for one store. Get it from `KeyRing.store`; it belongs to that ring's event loop."""

    __slots__ = ("_open", "_seal", "_sealer")

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._seal, self._open = sealer.seal, sealer.open

    def seal(self, scope: TenantScope, purpose: str, record_id: str, plaintext: bytes) -> Work[bytes]:
        """Seal a record of this tenant. With a held key, this doesn't suspend.

        Raises:
            KeyUnavailable: the tenant's key can't be had (`KeyDestroyed`: ever again).
            SealBroken: the wrapped key itself was changed.
            PayloadTooLarge: more than 64 MiB.
            ValueError: an empty purpose or record id, or one that isn't Unicode.
        """
        if type(scope) is not TenantScope:
            raise _not_a_scope(scope)
        return self._seal(scope.tenant, scope.credential_id, purpose, record_id, plaintext)

    def open(self, scope: TenantScope, purpose: str, record_id: str, sealed: bytes) -> Work[bytes]:
        """Open a record of this tenant. With a held key, this doesn't suspend.

        Raises:
            SealBroken: it was not sealed for this tenant, store, purpose and record id, or was changed since
                (`KeyVersionRefused`: it was sealed under a version below the minimum).
            KeyUnavailable: the tenant's key can't be had (`KeyDestroyed`: ever again).
        """
        if type(scope) is not TenantScope:
            raise _not_a_scope(scope)
        return self._open(scope.tenant, scope.credential_id, purpose, record_id, sealed)

    def index(self, scope: TenantScope, purpose: str, value: bytes) -> Work[bytes]:
        """32 bytes that are equal for equal values of one tenant, store and purpose, and say nothing to anybody else.

        For look-ups by equality among sealed records. They come from the first version of the tenant's key, so that a
        rotation leaves them as they are. Where there are few possible values, whoever holds that key can try them all.

        Raises:
            KeyUnavailable, SealBroken: see `seal`.
        """
        if type(scope) is not TenantScope:
            raise _not_a_scope(scope)
        return self._sealer.index(scope.tenant, scope.credential_id, purpose, value)

    def index_many(self, scope: TenantScope, purpose: str, values: Sequence[bytes]) -> Work[list[bytes]]:
        """As `index`, for each of these."""
        if type(scope) is not TenantScope:
            raise _not_a_scope(scope)
        return self._sealer.index_many(scope.tenant, scope.credential_id, purpose, values)

    def of(self, scope: TenantScope) -> TenantStoreKeys:
        """This tenant's alone, for a worker that goes through its records."""
        if type(scope) is not TenantScope:
            raise _not_a_scope(scope)
        return TenantStoreKeys(self._sealer, scope.tenant, scope.credential_id)

    @property
    def name(self) -> str:
        """The store's."""
        return self._sealer.store

    def key_version(self, scope: TenantScope) -> Work[int]:
        """The version of the tenant's key that seals now.

        Raises:
            KeyUnavailable, SealBroken: see `seal`.
        """
        if type(scope) is not TenantScope:
            raise _not_a_scope(scope)
        return self._sealer.key_version(scope.tenant, scope.credential_id)

    def needs_reseal(self, scope: TenantScope, sealed: bytes) -> bool:
        """Whether a record that was just opened is worth sealing anew, because its tenant's key was rotated since.

        Raises:
            SealBroken: it is no sealed record.
        """
        if type(scope) is not TenantScope:
            raise _not_a_scope(scope)
        return self._sealer.needs_reseal(scope.tenant, sealed)


class PlatformKeys:
    """The platform's own keys for one store, for records that belong to no tenant. Never for one that does."""

    __slots__ = ("_requestor", "_sealer")

    def __init__(self, sealer: Sealer, requestor: str) -> None:
        self._sealer = sealer
        self._requestor = requestor

    def seal(self, purpose: str, record_id: str, plaintext: bytes) -> Work[bytes]:
        """As `StoreKeys.seal`."""
        return self._sealer.seal(PLATFORM, self._requestor, purpose, record_id, plaintext)

    def open(self, purpose: str, record_id: str, sealed: bytes) -> Work[bytes]:
        """As `StoreKeys.open`."""
        return self._sealer.open(PLATFORM, self._requestor, purpose, record_id, sealed)

    def index(self, purpose: str, value: bytes) -> Work[bytes]:
        """As `StoreKeys.index`."""
        return self._sealer.index(PLATFORM, self._requestor, purpose, value)


def _not_a_scope(given: object) -> TypeError:
    # Compared by type: nothing that merely looks like a scope may choose a tenant. `TenantScope` has no subclasses.
    return TypeError(f"keys are used on behalf of a TenantScope, not of {type(given).__name__}")
