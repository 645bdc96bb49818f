"""The keyring: one per process, opened with its settings, closed at the end.

    async with KeyRing.open(settings, service="gateway", on_alarm=tell) as ring:
        memory = ring.store(Store.MEMORY)
        sealed = await memory.seal(scope, "note", "note-1", b"...")

Promises: a tenant gets its key on first use, from its own root where it has one, unless its key was destroyed. On
leaving, held keys are overwritten and every use is written. In a child after a fork nothing is held and nothing can be
used: two processes that count from one epoch would use a nonce twice.

Doesn't promise: to be used from a second event loop or thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakSet

from partywall.errors import ConfigError
from partywall.keys.clocks import Clocks
from partywall.keys.flights import Helpers
from partywall.keys.holding import Holding
from partywall.keys.key_store import FileKeyStore, KeyStore
from partywall.keys.life import Life
from partywall.keys.names import Store
from partywall.keys.record_keys import RecordKeys
from partywall.keys.sealer import Sealer
from partywall.keys.settings import KeyRingSettings
from partywall.keys.store_keys import PlatformKeys, StoreKeys
from partywall.keys.use_alerts import Alerts, KeyAlarm
from partywall.keys.use_files import UseFiles
from partywall.keys.use_log import UseLog
from partywall.keys.wrapping import Wrapping
from partywall.tenancy import TenantId, parse_tenant_id

__all__ = ["KeyRing"]

_TICK_SECONDS: Final = 1.0


class KeyRing:
    """Every tenant's keys. Open one with `KeyRing.open`."""

    def __init__(
        self,
        settings: KeyRingSettings,
        service: str,
        on_alarm: Callable[[KeyAlarm], None],
        *,
        key_store: KeyStore | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        """For `open`, which also starts the clockwork and closes what this opens."""
        if not service:
            raise ConfigError("a keyring is opened by a service that has a name; it stands in the records")
        self.keys_dir: Final = settings.keys_dir
        """Where the wrapped keys lie, for an operator to recognise."""
        self._clocks = clocks or Clocks()
        self._helpers = Helpers()
        self._wrapping = Wrapping(settings)
        files = key_store or FileKeyStore(settings.keys_dir, shred_ledger=settings.shred_ledger)
        alerts = Alerts(service, on_alarm, settings)
        self._uses = UseLog(UseFiles(settings.keys_dir), alerts, self._helpers, service, settings, self._clocks)
        self._holding = Holding(files, self._wrapping, self._uses, self._helpers, settings, self._clocks)
        self._sealers: dict[Store, Sealer] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.life = Life(files, self._wrapping, self._holding, self._uses, self._helpers, settings, self._clocks)
        """Rotating, rewrapping, destroying: for operators and timers, not for requests."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: KeyRingSettings,
        service: str,
        on_alarm: Callable[[KeyAlarm], None],
        *,
        key_store: KeyStore | None = None,
        clocks: Clocks | None = None,
    ) -> AsyncIterator[KeyRing]:
        """Open the keys for `service`, whose name stands in each record of use. `on_alarm` is called on the event loop.

        Raises:
            ConfigError: the settings can't be used.
            KeyUnavailable: the place of the keys can't be used. (A root that is down shows with the first use.)
        """
        ring = cls(settings, service, on_alarm, key_store=key_store, clocks=clocks)
        _open_rings.add(ring)
        try:
            ring._tick()
            yield ring
        finally:
            await ring._close()

    def store(self, store: Store) -> StoreKeys:
        """The keys of every tenant for that store."""
        return StoreKeys(self._sealer(store))

    def platform_store(self, store: Store) -> PlatformKeys:
        """The platform's own keys for that store: for what belongs to no tenant, and for nothing that does."""
        return PlatformKeys(self._sealer(store), f"service:{self._uses.service}")

    def records(self, requestor: str) -> RecordKeys:
        """The trail's own keys. `requestor` stands in the records of their use."""
        return RecordKeys(self._sealer(Store.TRAIL), requestor)

    async def ensure(self, tenant: TenantId, *, who: str) -> None:
        """Make the tenant's key where it has none, and see that it can be used. Part of onboarding.

        Raises:
            InvalidTenantId: it is no tenant's.
            KeyUnavailable, KeyDestroyed, SealBroken: it can't.
        """
        await self._holding.ready_to_seal(parse_tenant_id(tenant), who)

    async def check(self) -> None:
        """Whether the platform's root can be used, for `/readyz`.

        Raises:
            KeyUnavailable: it can't; the message says why.
        """
        await self._wrapping.check()

    def _sealer(self, store: Store) -> Sealer:
        sealer = self._sealers.get(store)
        if sealer is None:
            sealer = self._sealers[store] = Sealer(store, self._holding, self._uses, self._clocks)
        return sealer

    def _tick(self) -> None:
        """Once a second: overwrite what is out of date, write what was counted."""
        self._timer = asyncio.get_running_loop().call_later(_TICK_SECONDS, self._tick)
        self._holding.sweep()
        self._uses.hurry()

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._holding.aclose()
        finally:
            try:
                await self._uses.aclose()
            finally:
                self._helpers.close()
                await self._wrapping.aclose()

    def give_up_after_fork(self) -> None:
        """In the child: hold nothing, count nothing, refuse everything. Called by itself."""
        self._holding.end("the keyring was opened before a fork; open one in each process")
        self._uses.forget()


_open_rings: WeakSet[KeyRing] = WeakSet()


def _after_fork() -> None:
    for ring in tuple(_open_rings):
        ring.give_up_after_fork()


os.register_at_fork(after_in_child=_after_fork)
