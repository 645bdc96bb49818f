"""A tenant's key and the root that wraps it: which root that is, and making, unwrapping and rewrapping keys with it.

Promises: a new key is 32 bytes of the system's randomness; it is handed out only wrapped, and only after it was
unwrapped again to the same bytes, so that a root that may encrypt and not decrypt takes no data with it. A key goes to
the root whose name stands beside it and to no other; a root that isn't set up any more is no reason to ask another.

Context of a wrapped key: canonical("partywall/tenant-key/v1", u32(version number)); the root adds the tenant.
"""

from __future__ import annotations

import hmac
import os
import struct
from typing import Final

from partywall.errors import BrokenSeal, KeyUnavailable, SealBroken
from partywall.keys.canonical import canonical
from partywall.keys.hazmat import KEY_BYTES
from partywall.keys.roots import Root, open_root
from partywall.keys.settings import KeyRingSettings
from partywall.keys.wrapped import WrappedKey
from partywall.tenancy import TenantId

__all__ = ["Wrapping", "wrap_context"]

_LABEL: Final = b"partywall/tenant-key/v1"
_U32 = struct.Struct(">I").pack


def wrap_context(number: int) -> bytes:
    """What a wrapped key is bound to, beside its tenant."""
    return canonical(_LABEL, _U32(number))


class Wrapping:
    """The roots of one keyring."""

    __slots__ = ("_former", "_own", "_platform")

    def __init__(self, settings: KeyRingSettings) -> None:
        """Open every root. Nothing is connected to yet.

        Raises:
            ConfigError: a root needs an extra that isn't installed.
        """
        self._platform = (settings.root.name, open_root(settings.root.settings))
        self._own = {tenant: (root.name, open_root(root.settings)) for tenant, root in settings.tenant_roots.items()}
        self._former = {root.name: open_root(root.settings) for root in settings.former_roots}

    def root_name(self, tenant: TenantId) -> str:
        """The name of the root that wraps new keys of this tenant."""
        return self._of(tenant)[0]

    def _of(self, tenant: TenantId) -> tuple[str, Root]:
        return self._own.get(tenant, self._platform)

    def _named(self, name: str, tenant: TenantId) -> Root:
        """The root of that name, if it may serve this tenant. No other tenant's own root ever does."""
        for known, root in (self._of(tenant), self._platform):
            if known == name:
                return root
        if name in self._former:
            return self._former[name]
        raise KeyUnavailable(
            f"a key of `{tenant}` was wrapped by the root `{name}`, which is not set up; add it to the former roots"
        )

    async def fresh(self, tenant: TenantId, number: int, *, now: float) -> WrappedKey:
        """A new random key, wrapped as version `number`.

        Raises:
            KeyUnavailable, SealBroken: the root can't wrap it, or can't give it back.
        """
        name, root = self._of(tenant)
        await root.prepare(tenant)
        key = bytearray(os.urandom(KEY_BYTES))
        try:
            return WrappedKey.new(number, created=now, root=name, wrapped=await self._wrap(root, tenant, key, number))
        finally:
            key[:] = bytes(KEY_BYTES)

    async def unwrap(self, tenant: TenantId, version: WrappedKey) -> bytearray:
        """The key, for the caller to overwrite. The root's library keeps copies that nobody can reach.

        Raises:
            KeyUnavailable: its root can't be asked.
            SealBroken: the wrapped key is not what this root wrapped for this tenant and version.
        """
        root = self._named(version.root, tenant)
        return await self._unwrap(root, tenant, version.wrapped, version.number)

    async def rewrap(self, tenant: TenantId, version: WrappedKey) -> WrappedKey:
        """The same key, wrapped by the tenant's present root under its newest version.

        Raises:
            KeyUnavailable, SealBroken: as above.
        """
        name, root = self._of(tenant)
        key = await self.unwrap(tenant, version)
        try:
            await root.prepare(tenant)
            wrapped = await self._wrap(root, tenant, key, version.number)
            return WrappedKey.new(version.number, created=version.created, root=name, wrapped=wrapped)
        finally:
            key[:] = bytes(KEY_BYTES)

    async def rotate_root(self, tenant: TenantId) -> None:
        """Give the tenant's root a new version. A root that serves several tenants gets it for all of them.

        Raises:
            KeyUnavailable: the root can't.
        """
        await self._of(tenant)[1].rotate(tenant)

    async def destroy(self, tenant: TenantId, names: tuple[str, ...]) -> tuple[str, bool]:
        """What each of the named roots did of its own part, and whether all of them were asked."""
        said: list[str] = []
        all_asked = True
        for name in names:
            try:
                said.append(f"{name}: {await self._named(name, tenant).destroy(tenant)}")
            except KeyUnavailable as error:
                said.append(f"{name}: not confirmed, {error}")
                all_asked = False
        return "; ".join(said), all_asked

    async def check(self) -> None:
        """Whether the platform's root can be used.

        Raises:
            KeyUnavailable: it can't.
        """
        await self._platform[1].check()

    async def aclose(self) -> None:
        """Close every root."""
        for root in [self._platform[1], *(root for _, root in self._own.values()), *self._former.values()]:
            await root.aclose()

    async def _wrap(self, root: Root, tenant: TenantId, key: bytearray, number: int) -> bytes:
        wrapped = await root.wrap(tenant, bytes(key), wrap_context(number))
        returned = await self._unwrap(root, tenant, wrapped, number)
        try:
            if not hmac.compare_digest(returned, key):
                raise KeyUnavailable(f"the root of `{tenant}` gave back another key than it was given to wrap")
        finally:
            returned[:] = bytes(len(returned))
        return wrapped

    async def _unwrap(self, root: Root, tenant: TenantId, wrapped: bytes, number: int) -> bytearray:
        key = bytearray(await root.unwrap(tenant, wrapped, wrap_context(number)))
        if len(key) != KEY_BYTES:
            length = len(key)
            key[:] = bytes(length)
            raise SealBroken(
                f"version {number} of the key of `{tenant}` has {length} bytes", reason=BrokenSeal.WRAPPED_KEY
            )
        return key
