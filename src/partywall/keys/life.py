"""The life of tenants' keys: made, rotated, rewrapped, and destroyed in the end.

Promises: each act is recorded before it is done, with who asked for it. Rotating and rewrapping leave the data alone,
and what was sealed before opens afterwards. Two processes that rotate at once make two versions. What one process did
shows in every other within half a second; in this one at once. A destroyed key is gone in every version, with a
receipt.

Doesn't promise: that a copy of a wrapped key in an old backup is gone. Where the root has a key of the tenant's own, it
is destroyed too, and the copy is worthless; the receipt says which it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from partywall.errors import ConfigError, KeyDestroyed, KeyUnavailable, PartywallError, SealBroken
from partywall.keys.clocks import Clocks
from partywall.keys.flights import Helpers
from partywall.keys.holding import Holding
from partywall.keys.key_store import PLATFORM, KeyStore
from partywall.keys.receipt import Receipt
from partywall.keys.settings import KeyRingSettings
from partywall.keys.use_log import UseLog
from partywall.keys.uses import Operation
from partywall.keys.wrapped import TenantKeys, WrappedKey
from partywall.keys.wrapping import Wrapping
from partywall.tenancy import TenantId

__all__ = ["KeyStatus", "KeyVersionStatus", "Life", "Rotations"]

_DAY_SECONDS: Final = 86_400.0
_PROOFS: Final = 3
AUTO_ROTATE: Final = "auto_rotate_days"
"""Who asked for a rotation that came with time."""


@dataclass(frozen=True, slots=True)
class KeyVersionStatus:
    """One version of a tenant's key."""

    number: int
    created: float
    """Unix seconds."""
    root: str


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One tenant's key. Exactly one of `versions`, `receipt` and `unreadable` says something."""

    tenant: TenantId
    versions: tuple[KeyVersionStatus, ...] = ()
    """The last one seals."""
    min_decryption_version: int = 1
    """What is in force, be it the tenant's own or that of the settings."""
    rewrap_due: bool = False
    """Some version was wrapped by another root than wraps the tenant's keys now."""
    receipt: Receipt | None = None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class Rotations:
    """What `rotate_due` did."""

    rotated: dict[TenantId, int]
    """The new versions."""
    failed: dict[TenantId, PartywallError]


class Life:
    """Acts on tenants' keys. `who` is the operator, or whatever acts for one; it stands in the records."""

    def __init__(
        self,
        key_store: KeyStore,
        wrapping: Wrapping,
        holding: Holding,
        uses: UseLog,
        helpers: Helpers,
        settings: KeyRingSettings,
        clocks: Clocks,
    ) -> None:
        self._store = key_store
        self._wrapping = wrapping
        self._holding = holding
        self._uses = uses
        self._helpers = helpers
        self._clocks = clocks
        self._auto_rotate_days = settings.auto_rotate_days
        self._min_decryption_version = settings.min_decryption_version

    async def statuses(self) -> tuple[KeyStatus, ...]:
        """Everybody who has a key or had one, in the order of their ids.

        Raises:
            KeyUnavailable: the key store can't be read at all.
        """
        return await self._helpers.run(lambda: tuple(self._status(tenant) for tenant in self._store.tenants()))

    async def prove_root(self) -> None:
        """See that the platform's root opens what it wrapped: the platform's newest key, or else a tenant's.

        One that doesn't open is that key's trouble; when none of the first few does, the root is another one. Where it
        wrapped nothing yet, there is nothing to see.

        Raises:
            KeyUnavailable, SealBroken: why the last one didn't open.
        """
        failure: PartywallError | None = None
        for tenant, version in await self._helpers.run(self._wrapped_by_platform_root):
            try:
                key = await self._wrapping.unwrap(tenant, version)
            except (KeyUnavailable, SealBroken) as error:
                failure = error
            else:
                key[:] = bytes(len(key))
                return
        if failure is not None:
            raise failure

    async def rotate(self, tenant: TenantId, *, who: str) -> int:
        """Make a new version of the tenant's key, which seals from now on. Returns its number.

        Raises:
            KeyUnavailable: nothing was changed.
        """
        while True:
            keys = await self._load(tenant)
            number = await self._rotate_once(keys, who)
            if number is not None:
                return number

    async def rotate_due(self, now: float) -> Rotations:
        """Rotate each key whose current version is `auto_rotate_days` old at `now` (Unix seconds).

        One tenant's failure is no other's. Call it now and then, in as many processes as you like.
        """
        done = Rotations({}, {})
        if self._auto_rotate_days is None:
            return done
        born_before = now - self._auto_rotate_days * _DAY_SECONDS
        for tenant in await self._helpers.run(lambda: tuple(self._store.tenants())):
            try:
                keys = await self._helpers.run(partial(self._store.load, tenant))
                if keys is None or keys.versions[-1].created > born_before:
                    continue
                number = await self._rotate_once(keys, AUTO_ROTATE)
                if number is not None:  # else another process was first, so it isn't due any more
                    done.rotated[tenant] = number
            except KeyDestroyed:
                continue
            except PartywallError as error:
                done.failed[tenant] = error
        return done

    async def rotate_root(self, tenant: TenantId, *, who: str) -> None:
        """Give the tenant's root key a new version (with a file, everybody's). `rewrap` then makes use of it.

        Raises:
            KeyUnavailable: the root can't, or it could not be recorded.
        """
        async with self._act(Operation.ROTATE_ROOT, tenant, who, detail=self._wrapping.root_name(tenant)):
            await self._wrapping.rotate_root(tenant)

    async def rewrap(self, tenant: TenantId, *, who: str) -> int:
        """Wrap every version anew, with the tenant's present root under its newest version. Returns how many.

        Raises:
            KeyUnavailable, SealBroken: nothing was changed.
        """
        while True:
            keys = await self._load(tenant)
            root = self._wrapping.root_name(tenant)
            async with self._act(Operation.REWRAP, tenant, who, key_version=keys.current, detail=root):
                fresh = {version.number: await self._wrapping.rewrap(tenant, version) for version in keys.live}
                versions = tuple(fresh.get(version.number, version) for version in keys.versions)
                if await self._replace(keys, replace(keys, versions=versions)):
                    return len(fresh)

    async def set_min_decryption_version(self, tenant: TenantId, number: int, *, who: str) -> None:
        """Refuse the records of this tenant that were sealed under a version below `number`. Reseal them first.

        Raises:
            ConfigError: there is no such version.
            KeyUnavailable: nothing was changed.
        """
        while True:
            keys = await self._load(tenant)
            if not 1 <= number <= keys.current:
                raise ConfigError(f"the key of `{tenant}` has the versions 1 to {keys.current}, so no minimum {number}")
            async with self._act(Operation.SET_MINIMUM, tenant, who, key_version=number):
                if await self._replace(keys, replace(keys, min_decryption_version=number)):
                    return

    async def destroy(self, tenant: TenantId, *, who: str) -> Receipt:
        """Destroy the tenant's key, and with it everything that it sealed. There is no way back.

        When a root can't be asked for its part, the receipt says so, and destroying again asks once more.

        Raises:
            KeyUnavailable: there is nothing to destroy, or it can't be done or recorded.
        """
        async with self._act(Operation.DESTROY, tenant, who):
            try:
                destroy = partial(self._store.destroy, tenant, who=who, now=self._clocks.wall())
                receipt = await self._helpers.run(destroy)
            finally:
                self._holding.overwrite(tenant)
            if receipt.root_confirmed:
                return receipt
            said, all_asked = await self._wrapping.destroy(tenant, receipt.roots)
            receipt = replace(receipt, root=said, root_confirmed=all_asked)
            await self._helpers.run(partial(self._store.confirm, receipt))
            return receipt

    # -- Steps -------------------------------------------------------------------------------------------------------

    def _wrapped_by_platform_root(self) -> list[tuple[TenantId, WrappedKey]]:
        """The newest such version of everybody's; the platform's own comes first."""
        root, found = self._wrapping.root_name(PLATFORM), []
        for tenant in sorted(self._store.tenants(), key=lambda each: (each != PLATFORM, each)):
            try:
                keys = self._store.load(tenant)
            except (KeyDestroyed, KeyUnavailable):
                continue
            live = [version for version in (keys.live if keys else ()) if version.root == root]
            found += [(tenant, version) for version in live[-1:]]
            if len(found) == _PROOFS:
                break
        return found

    async def _rotate_once(self, keys: TenantKeys, who: str) -> int | None:
        """The new version's number; None when somebody changed the keys meanwhile."""
        tenant, number = keys.tenant, keys.current + 1
        async with self._act(Operation.ROTATE, tenant, who, key_version=number):
            version = await self._wrapping.fresh(tenant, number, now=self._clocks.wall())
            return number if await self._replace(keys, keys.with_next(version)) else None

    async def _load(self, tenant: TenantId) -> TenantKeys:
        keys = await self._helpers.run(partial(self._store.load, tenant))
        if keys is None:
            raise KeyUnavailable(f"`{tenant}` never had a key; it gets one when it first seals")
        return keys

    async def _replace(self, old: TenantKeys, new: TenantKeys) -> bool:
        try:
            return await self._helpers.run(partial(self._store.replace, old, new))
        finally:
            self._holding.invalidate(new.tenant)

    @asynccontextmanager
    async def _act(
        self, operation: Operation, tenant: TenantId, who: str, *, key_version: int = 0, detail: str = ""
    ) -> AsyncIterator[None]:
        """Record what is about to be done. When it fails, that is recorded as well."""
        await self._uses.record(self._uses.use(operation, tenant, who, key_version=key_version, detail=detail))
        try:
            yield
        except PartywallError as error:
            why = f"{operation}: {error.code}"
            self._uses.refuse(self._uses.use(Operation.REFUSED, tenant, who, key_version=key_version, detail=why))
            raise

    def _status(self, tenant: TenantId) -> KeyStatus:
        try:
            receipt = self._store.receipt(tenant)
            keys = None if receipt is not None else self._store.load(tenant)
        except KeyUnavailable as error:
            return KeyStatus(tenant, unreadable=str(error))
        if keys is None:
            return KeyStatus(tenant, receipt=receipt)
        root = self._wrapping.root_name(tenant)
        return KeyStatus(
            tenant,
            tuple(KeyVersionStatus(version.number, version.created, version.root) for version in keys.live),
            min_decryption_version=keys.lowest(self._min_decryption_version),
            rewrap_due=any(version.root != root for version in keys.live),
        )
