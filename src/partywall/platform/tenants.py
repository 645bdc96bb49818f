"""The tenants of the document: which are served and which are suspended, and changing that.

Promises: what is done is recorded first, in the tenant's own records, under the operator's name. When `suspend`
returns, every process that shares the data directory refuses the tenant, at every door: requests and
`Platform.authenticate`, an answer that is about to be given, and a stream under way at its next event. The tenant's
sessions have ended by then, and what slipped in between ends when it is resumed.

Doesn't promise: to take a scope away from an application that holds one in its own process and asks nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from partywall.errors import ConfigError
from partywall.platform.standing import NOTICED_SECONDS, Standing, Suspension
from partywall.stores import Stores
from partywall.tenancy import TenantId, TenantScope

__all__ = ["Tenants"]

_UNTIL_NOTICED_SECONDS: Final = 2 * NOTICED_SECONDS


class _ActingFor(Protocol):
    """`Platform.acting_for`."""

    def __call__(self, tenant: str, *, who: str, action: str, why: str) -> AbstractAsyncContextManager[TenantScope]: ...


class Tenants:
    """The standing of the document's tenants. `Platform.tenants` is one."""

    def __init__(
        self,
        standing: Standing,
        named: Callable[[], frozenset[TenantId]],
        acting_for: _ActingFor,
        stores: Stores | None,
    ) -> None:
        """`named` are the tenants of the document that serves now."""
        self._standing = standing
        self._named = named
        self._acting_for = acting_for
        self._stores = stores

    def standings(self) -> Mapping[TenantId, Suspension | None]:
        """Every tenant of the document, in the order of their ids, and how it is suspended, if it is.

        Raises:
            StoreUnavailable: nobody can tell.
        """
        suspended = self._standing.suspended()
        return {tenant: suspended.get(tenant) for tenant in sorted(self._named())}

    def suspension(self, tenant: TenantId) -> Suspension | None:
        """How `tenant` is suspended; None when it is active.

        Raises:
            ConfigError: the document names no such tenant.
            StoreUnavailable: nobody can tell.
        """
        standings = self._standing.suspended()
        if tenant not in self._named():
            raise ConfigError(f"the document names no tenant `{tenant}`")
        return standings.get(tenant)

    async def suspend(self, tenant: TenantId, *, who: str, why: str) -> bool:
        """Refuse `tenant` from now on, and end its sessions. False when it was suspended already.

        Raises:
            ConfigError: the document names no such tenant, or `who` or `why` says nothing.
            TrailUnavailable: it can't be recorded, so it isn't done.
            StoreUnavailable: it can't be written; or it was, and the sessions could not be ended. Do it again.
            KeyUnavailable: the latter.
        """
        async with self._acting_for(tenant, who=who, action="tenants suspend", why=why) as scope:
            suspension = Suspension(time.time(), who, why)
            changed = await asyncio.to_thread(self._standing.suspend, tenant, suspension)
            # Until everybody has noticed, a request may still begin a session.
            await asyncio.sleep(_UNTIL_NOTICED_SECONDS)
            await self._end_sessions(scope)
        return changed

    async def resume(self, tenant: TenantId, *, who: str, why: str) -> bool:
        """Serve `tenant` again, from a clean start: no session survives. False when it wasn't suspended.

        Raises:
            As `suspend`; and then it stays suspended.
        """
        if self.suspension(tenant) is None:
            return False
        async with self._acting_for(tenant, who=who, action="tenants resume", why=why) as scope:
            await self._end_sessions(scope)
            return await asyncio.to_thread(self._standing.resume, tenant)

    async def _end_sessions(self, scope: TenantScope) -> None:
        if self._stores is not None:
            await self._stores.sessions.end_all(scope)
