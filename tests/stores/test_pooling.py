"""Behind a pooler by transactions (C50): many tenants over one connection to the server, and each has its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import asyncpg
from tests.stores.places import settings_in
from tests.support.engines.pooler import Pooler
from tests.support.engines.postgres import SERVING, postgres_server

from partywall.stores.backends.base import Insert, Row
from partywall.stores.backends.postgres.address import parse_address
from partywall.stores.backends.postgres.backend import PostgresBackend
from partywall.tenancy import Secret, TenantId

TENANTS = [TenantId(f"t{number}") for number in range(8)]


@asynccontextmanager
async def pooled(folder: Path, kind: str) -> AsyncIterator[tuple[PostgresBackend, Pooler]]:
    server, settings = postgres_server(), settings_in(folder, kind)
    pooler = Pooler(server.socket, parse_address(settings.dsn(), "test").database, SERVING)
    await pooler.start()
    dsn = settings.dsn().reveal().replace(f":{server.port}/", f":{pooler.port}/")
    backend = PostgresBackend(replace(settings, dsn=lambda: Secret(dsn), max_connections=8))
    try:
        yield backend, pooler
    finally:
        await backend.aclose()
        await pooler.stop()


async def nothing_is_left(backend: PostgresBackend) -> None:
    """Whoever has the session next is nobody, and sees nothing."""
    other = await asyncpg.connect(backend._settings.dsn().reveal(), statement_cache_size=0)
    assert await other.fetchval("SELECT coalesce(current_setting('partywall.tenant', true), '')") == ""
    assert await other.fetchval("SELECT current_user = session_user")
    assert await other.fetchval("SELECT count(*) FROM partywall.rows") == 0
    assert await other.fetchval("SHOW statement_timeout") == "0"
    other.terminate()


def test_tenants_interleave_on_one_connection_and_nonces_never_cross(tmp_path: Path) -> None:
    async def main() -> None:
        async with pooled(tmp_path, "postgres") as (backend, pooler):

            async def act(tenant: TenantId) -> None:
                rows = backend.partition(tenant, "memory")
                for number in range(8):
                    key, own = b"%d" % number, f"{tenant} {number}".encode()
                    assert await rows.commit([Insert(b"g", key, own), Insert(tenant.encode(), key, own)])
                    assert await rows.get(b"g", key) == Row(b"g", key, 1, own)
                    page = await rows.page(b"g", limit=1, backwards=True)
                    assert page == [Row(b"g", key, 1, own)]
                assert await rows.count() == 16

            await asyncio.gather(*map(act, TENANTS))
            await nothing_is_left(backend)
            switches = sum(one != other for one, other in pairwise(pooler.turns))
            assert switches > len(TENANTS) * 8, "the transactions of several clients did interleave"

    asyncio.run(main())


def test_roles_do_not_outlive_their_transaction_either(tmp_path: Path) -> None:
    async def main() -> None:
        async with pooled(tmp_path, "postgres-schemas") as (backend, pooler):

            async def act(tenant: TenantId) -> None:
                rows = backend.partition(tenant, "memory")
                for number in range(8):
                    key, own = b"%d" % number, f"{tenant} {number}".encode()
                    assert await rows.commit([Insert(b"g", key, own)])
                    assert await rows.get(b"g", key) == Row(b"g", key, 1, own)

            await asyncio.gather(act(TenantId("alpha")), act(TenantId("beta")), act(TenantId("beta2")))
            await nothing_is_left(backend)
            assert sum(one != other for one, other in pairwise(pooler.turns)) > 16

    asyncio.run(main())


def test_a_setting_of_the_session_does_cross(tmp_path: Path) -> None:
    """The naive version, and the proof that the pooler is one: what one client sets, the next one is."""

    async def main() -> None:
        async with pooled(tmp_path, "postgres") as (backend, _):
            alpha = TenantId("alpha")
            assert await backend.partition(alpha, "memory").commit([Insert(b"g", b"k", b"of alpha")])
            dsn = backend._settings.dsn().reveal()
            naive, other = [await asyncpg.connect(dsn, statement_cache_size=0) for _ in range(2)]
            await naive.execute("SET partywall.tenant = 'alpha'")
            assert await other.fetchval("SELECT sealed FROM partywall.rows") == b"of alpha"
            naive.terminate()
            other.terminate()

    asyncio.run(main())
