"""Values on a Valkey or Redis server, each tenant as a user of its own.

Promises: a tenant's user and database are what the owner wrote down. Before the first value of a tenant is asked for,
its own user was seen to be refused everywhere else; a server that was served from is only one that `self_check` found
fit. When something goes wrong with a tenant's place, it is looked up and checked anew.

Doesn't promise: to notice by itself that an administrator gave a tenant's user more rights while it serves.
"""

from __future__ import annotations

import time
from typing import Final

from partywall.errors import ConfigError, StoreUnavailable
from partywall.stores.backends.valkey.connections import FAILURES, UNREADABLE, Command, Connections, told
from partywall.stores.backends.valkey.partition import MOST_VALUES, ValkeyPartition
from partywall.stores.backends.valkey.places import REGISTRY, TENANT_FIELD, Identity
from partywall.stores.backends.valkey.self_check import faults_of_server, faults_of_tenant
from partywall.stores.backends.valkey.settings import MIGRATE_COMMAND, ValkeySettings
from partywall.stores.backends.values import check_store
from partywall.tenancy import TenantId

__all__ = ["ValkeyBackend"]

SERVING: Final = Identity("")


class ValkeyBackend:
    """Every tenant's values on one server."""

    def __init__(self, settings: ValkeySettings, *, most_values: int = MOST_VALUES) -> None:
        self._connections = Connections(settings)
        self._most_values = most_values
        self._places: dict[TenantId, Identity] = {}
        self._ticked = 0

    async def check(self) -> None:
        """See that the server may be served from.

        Raises:
            ConfigError: it may not, with each reason and its mend.
            StoreUnavailable: it can't be asked.
        """
        if faults := await faults_of_server(self._connections):
            raise ConfigError(f"the cache server: {'; '.join(faults)}")

    async def check_tenant(self, tenant: TenantId) -> None:
        """See that the tenant's place is as `migrate` leaves it.

        Raises:
            StoreUnavailable: it isn't, or can't be asked.
        """
        self._places.pop(tenant, None)
        await self._place(tenant)

    def partition(self, tenant: TenantId, store: str) -> ValkeyPartition:
        """See `ValueBackend.partition`."""
        return ValkeyPartition(self, *check_store(tenant, store), most_values=self._most_values)

    async def aclose(self) -> None:
        """See `ValueBackend.aclose`."""
        await self._connections.aclose()

    async def ask(self, tenant: TenantId, *commands: Command, once: bool = False) -> list[object]:
        """Do these commands as the tenant's user. For partitions.

        Raises:
            StoreUnavailable: as `Connections.ask`; or the tenant has no place that can be trusted.
        """
        place = await self._place(tenant)
        try:
            return await self._connections.ask(place, *commands, once=once)
        except StoreUnavailable:
            self._places.pop(tenant, None)
            raise

    def tick(self) -> int:
        """The time in microseconds, and more than it was before."""
        self._ticked = max(self._ticked + 1, time.time_ns() // 1000)
        return self._ticked

    async def _place(self, tenant: TenantId) -> Identity:
        place = self._places.get(tenant)
        if place is None:
            place = await self._look_up(tenant)
            try:
                faults = await faults_of_tenant(self._connections, place)
            except (*FAILURES, *UNREADABLE) as error:
                raise StoreUnavailable(
                    f"the cache server doesn't let `{tenant}` in: {told(error)}; run `{MIGRATE_COMMAND} CONFIG` with "
                    "the data directory that serves"
                ) from error
            if faults:
                raise StoreUnavailable(f"`{tenant}` is not served: {'; '.join(faults)}")
            self._places[tenant] = place
        return place

    async def _look_up(self, tenant: TenantId) -> Identity:
        (number,) = await self._connections.ask(SERVING, ("HGET", REGISTRY, TENANT_FIELD.format(tenant)))
        if not isinstance(number, bytes) or not number.isdigit():
            raise StoreUnavailable(
                f"nothing is provisioned for `{tenant}` on the cache server; run `{MIGRATE_COMMAND} CONFIG`"
            )
        return Identity(tenant, int(number))
