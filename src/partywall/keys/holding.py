"""The one place of unwrapped keys.

Promises: an unwrapped key is held for a bounded time and number of uses. What another process did to a tenant's keys
shows to every use that begins 0.25 s later, and within about a second to a key that nobody uses; then what no longer
holds is overwritten. The first uses of a tenant, however many at once, ask its root once; a root that failed is asked
again after 0.5 s at the earliest. While a root is down, held keys work to the end of their time and no longer. Nothing
falls back.

Doesn't promise: to serve more tenants than `max_tenants` at the speed of a held key. The one unused for longest makes
room, and its next use asks its root again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from partywall.errors import BrokenSeal, KeyUnavailable, KeyVersionRefused, PartywallError, SealBroken
from partywall.keys.clocks import Clocks
from partywall.keys.flights import Flights, Helpers, again
from partywall.keys.held import HeldKey, HeldTenant
from partywall.keys.key_store import KeyStore
from partywall.keys.settings import KeyRingSettings
from partywall.keys.use_log import UseLog
from partywall.keys.uses import Operation
from partywall.keys.wrapped import TenantKeys, WrappedKey
from partywall.keys.wrapping import Wrapping
from partywall.tenancy import TenantId

__all__ = ["Holding"]

_Choice = Callable[[HeldTenant], Awaitable[WrappedKey | None]]
"""Says which version is wanted; None when the question has to be asked again."""

LOOK_SECONDS: Final = 0.25
"""How long a look at the key store is good for."""
RETRY_SECONDS: Final = 0.5
"""How long a root that failed is left alone, for each tenant."""
_WHOLE_TENANT: Final = 0


class Holding:
    """The unwrapped keys of one process. Belongs to one event loop."""

    def __init__(
        self,
        key_store: KeyStore,
        wrapping: Wrapping,
        uses: UseLog,
        helpers: Helpers,
        settings: KeyRingSettings,
        clocks: Clocks,
    ) -> None:
        self.tenants: dict[TenantId, HeldTenant] = {}
        """For the path of every record: what is in here may be used until its `good_until`. The dict stays the same."""
        self._store = key_store
        self._wrapping = wrapping
        self._uses = uses
        self._helpers = helpers
        self._settings = settings
        self._clocks = clocks
        self._flights = Flights()
        self._ended: str | None = None
        uses.on_fault = self.invalidate

    # -- Getting a key -----------------------------------------------------------------------------------------------

    async def ready_to_seal(self, tenant: TenantId, requestor: str) -> tuple[HeldTenant, HeldKey]:
        """The tenant's current key, unwrapped, and made when the tenant has none. Use it before the next `await`.

        Raises:
            KeyUnavailable, KeyDestroyed: it can't be had.
            SealBroken: the wrapped key is not what its root wrapped.
        """
        return await self._waiting(tenant, partial(self._current, requestor=requestor), requestor)

    async def ready_to_open(self, tenant: TenantId, number: int, requestor: str) -> tuple[HeldTenant, HeldKey]:
        """That version of the tenant's key, unwrapped. Use it before the next `await`.

        Raises:
            KeyVersionRefused: it is below the minimum.
            KeyUnavailable, KeyDestroyed, SealBroken: as above; also when there is no such version.
        """
        return await self._waiting(tenant, partial(self._for_opening, number=number), requestor)

    async def ready_to_index(self, tenant: TenantId, requestor: str) -> tuple[HeldTenant, HeldKey]:
        """The first version of the tenant's key, made when the tenant has none. Hashes stay equal across rotations.

        Raises:
            KeyUnavailable, KeyDestroyed, SealBroken: as above.
        """
        return await self._waiting(tenant, partial(self._first, requestor=requestor), requestor)

    async def _waiting(self, tenant: TenantId, choose: _Choice, requestor: str) -> tuple[HeldTenant, HeldKey]:
        self._check_not_ended()
        held = self._tenant(tenant)
        held.busy += 1
        try:
            while True:
                version = await choose(held)
                if version is None:
                    continue
                key = held.unwrapped.get(version.number)
                if key is not None and key.uses_left > 0:
                    return held, key
                self._check_failure(held, version.number)
                name = (tenant, version.number)
                await self._flights.join(name, partial(self._unwrap, held, version, requestor))
                self._check_not_ended()
        finally:
            held.busy -= 1

    async def _current(self, held: HeldTenant, *, requestor: str) -> WrappedKey | None:
        keys = self._look(held) or self._look_again(held)
        if keys is None:
            await self._make(held, requestor)
            return None
        return keys.live[-1]

    async def _first(self, held: HeldTenant, *, requestor: str) -> WrappedKey | None:
        keys = self._look(held) or self._look_again(held)
        if keys is None:
            await self._make(held, requestor)
            return None
        return keys.live[0]

    async def _for_opening(self, held: HeldTenant, *, number: int) -> WrappedKey | None:
        keys = self._look(held)
        if keys is None or keys.version(number) is None:
            # Another process may have made the key, and sealed with it, since our last look.
            keys = self._look_again(held)
        version = None if keys is None else keys.version(number)
        if keys is None or version is None:
            raise SealBroken(f"`{held.name}` has no version {number} of its key", reason=BrokenSeal.UNKNOWN_KEY)
        if number < (lowest := keys.lowest(self._settings.min_decryption_version)):
            raise KeyVersionRefused(f"version {number} of the key of `{held.name}` is below the minimum, {lowest}")
        return version

    async def _make(self, held: HeldTenant, requestor: str) -> None:
        self._check_failure(held, _WHOLE_TENANT)
        await self._flights.join((held.name, _WHOLE_TENANT), partial(self._create, held, requestor))
        self._check_not_ended()
        self.invalidate(held.name)

    # -- Looking -----------------------------------------------------------------------------------------------------

    def _look(self, held: HeldTenant) -> TenantKeys | None:
        """The tenant's wrapped keys as of 0.25 s ago or less. Let go of every key that is out of date or used up.

        Raises:
            KeyUnavailable, KeyDestroyed: they can't be had, and what was held is overwritten.
        """
        name = held.name
        now = self._clocks.monotonic()
        held.good_until = float("-inf")
        for key in list(held.unwrapped.values()):
            if now >= key.expires_at or key.uses_left <= 0:
                held.let_go(key)
        if name in self._uses.faults:
            raise KeyUnavailable(self._uses.faults[name])
        if now >= held.look_at:
            try:
                stamp = self._store.stamp(name)
                if stamp != held.stamp:
                    held.take_over(stamp, self._store.load(name))
            except BaseException:
                held.let_go_of_all()
                raise
            held.look_at = now + LOOK_SECONDS
        held.good_until = min([held.look_at, *(key.expires_at for key in held.unwrapped.values())])
        return held.keys

    def _look_again(self, held: HeldTenant) -> TenantKeys | None:
        self.invalidate(held.name)
        return self._look(held)

    def invalidate(self, tenant: TenantId) -> None:
        """Look at the key store before the tenant's next use."""
        held = self.tenants.get(tenant)
        if held is not None:
            held.good_until = held.look_at = float("-inf")

    def known(self, tenant: TenantId) -> TenantKeys | None:
        """The tenant's wrapped keys as last read, if they were."""
        held = self.tenants.get(tenant)
        return None if held is None else held.keys

    def sweep(self) -> None:
        """Overwrite what expired or was taken away meanwhile, also where nobody asks."""
        now = self._clocks.monotonic()
        for held in list(self.tenants.values()):
            with suppress(PartywallError):  # what it refuses, it has overwritten
                self._look(held)
            if not held.unwrapped and not held.busy and now - held.used_at > self._settings.hold_seconds:
                del self.tenants[held.name]

    # -- Flights -----------------------------------------------------------------------------------------------------

    async def _unwrap(self, held: HeldTenant, version: WrappedKey, requestor: str) -> None:
        """Ask the root, and hold what it gives."""
        name, number = held.name, version.number
        try:
            material = await self._wrapping.unwrap(name, version)
        except (KeyUnavailable, SealBroken) as error:
            self._remember(held, _WHOLE_TENANT if isinstance(error, KeyUnavailable) else number, error)
            raise
        key = HeldKey(
            number,
            version.wrapped,
            material,
            expires_at=self._clocks.monotonic() + self._settings.hold_seconds,
            uses=self._settings.hold_uses,
        )
        try:
            await self._uses.record(
                self._uses.use(Operation.UNWRAP, name, requestor, key_version=number, detail=version.root)
            )
        except BaseException:
            key.overwrite()
            raise
        present = None if held.keys is None else held.keys.version(number)
        if self._ended is not None or self.tenants.get(name) is not held or present != version:
            key.overwrite()  # what it was asked for is over; whoever still waits asks again
        else:
            held.hold(key)

    async def _create(self, held: HeldTenant, requestor: str) -> None:
        """Make the tenant's first key. When another process is faster, its key stands."""
        name = held.name
        await self._uses.record(self._uses.use(Operation.CREATE, name, requestor, key_version=1))
        try:
            version = await self._wrapping.fresh(name, 1, now=self._clocks.wall())
        except (KeyUnavailable, SealBroken) as error:
            self._remember(held, _WHOLE_TENANT, error)
            raise
        await self._helpers.run(partial(self._store.replace, None, TenantKeys.first(name, version)))

    def _remember(self, held: HeldTenant, number: int, error: PartywallError) -> None:
        held.failures[number] = (self._clocks.monotonic() + RETRY_SECONDS, error)

    def _check_failure(self, held: HeldTenant, number: int) -> None:
        for which in (_WHOLE_TENANT, number):
            until, error = held.failures.get(which, (0.0, None))
            if error is not None:
                if self._clocks.monotonic() < until:
                    raise again(error)
                del held.failures[which]

    # -- Room, and the end -------------------------------------------------------------------------------------------

    def _tenant(self, name: TenantId) -> HeldTenant:
        held = self.tenants.get(name)
        if held is None:
            self._make_room()
            held = self.tenants[name] = HeldTenant(name, self._clocks.monotonic())
        held.used_at = self._clocks.monotonic()
        return held

    def _make_room(self) -> None:
        while len(self.tenants) >= self._settings.max_tenants:
            idle = [held for held in self.tenants.values() if not held.busy]
            if not idle:
                return  # each of them has somebody waiting; they are served, and then too many
            oldest = min(idle, key=lambda held: held.used_at)
            oldest.let_go_of_all()
            del self.tenants[oldest.name]

    def overwrite(self, tenant: TenantId) -> None:
        """Overwrite what is held of a tenant. Whoever waits for it looks again."""
        held = self.tenants.get(tenant)
        if held is not None:
            held.let_go_of_all()

    def end(self, why: str) -> None:
        """Overwrite everything, and refuse every later use."""
        self._ended = why
        for held in self.tenants.values():
            held.let_go_of_all()
        self.tenants.clear()

    async def aclose(self) -> None:
        """End, and wait for what is under way."""
        self.end("the keyring was closed")
        await self._flights.aclose(cancel=True)

    def _check_not_ended(self) -> None:
        if self._ended is not None:
            raise KeyUnavailable(self._ended)
