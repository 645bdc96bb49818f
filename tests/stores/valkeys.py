"""A real Valkey for tests of values: emptied, with users for some tenants, in each of the two placements."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.support.engines.valkey import OWNER, ValkeyServer, valkey_server

from partywall.stores.backends.valkey.backend import ValkeyBackend
from partywall.stores.backends.valkey.owner import CacheOwner
from partywall.stores.backends.valkey.settings import ValkeySettings
from partywall.tenancy import Secret, TenantId

__all__ = ["MARK", "PLACED", "VALKEYS", "fresh_valkey", "owner_of", "password_of", "settings_of", "valkey_backend"]

VALKEYS: Final = {"valkey": False, "valkey-common": True}
"""A database for each tenant, as Valkey 9.1 can; or prefixes alone, as on every other server."""
PLACED: Final = tuple(map(TenantId, ("alpha", "beta", "beta2", "beta-2", "beta_2", "b")))
MARK: Final = "5" * 64


def password_of(name: str) -> Secret:
    """As the deployment's salter would derive it."""
    return Secret(hashlib.sha256(f"of the tests {name}".encode()).hexdigest())


def owner_of(server: ValkeyServer, *, common_only: bool = False, mark: str = MARK) -> CacheOwner:
    """The owner at work on a server."""
    urls = Secret(server.url(OWNER)), Secret(server.url())
    return CacheOwner(*urls, password_of, mark, common_only=common_only)


def settings_of(server: ValkeyServer, *, port: int | None = None, max_connections: int = 16) -> ValkeySettings:
    """As `platform` would make them of a document."""
    return ValkeySettings(
        url=lambda: Secret(server.url(port=port)),
        password_of=password_of,
        max_connections=max_connections,
        timeout_seconds=10.0,
    )


def fresh_valkey(
    kind: str = "valkey", tenants: Iterable[TenantId] = PLACED, server: ValkeyServer | None = None
) -> ValkeyServer:
    """The process' server, emptied, with a place for each of the tenants."""
    server = server or valkey_server()
    server.clear()

    async def provision() -> None:
        owner = owner_of(server, common_only=VALKEYS[kind])
        await owner.migrate()
        for tenant in tenants:
            await owner.provision(tenant)

    with ThreadPoolExecutor(1) as pool:  # a test's loop may be running here
        pool.submit(lambda: asyncio.run(provision())).result(60)
    return server


def valkey_backend(kind: str = "valkey") -> ValkeyBackend:
    """A clean one."""
    return ValkeyBackend(settings_of(fresh_valkey(kind)))
