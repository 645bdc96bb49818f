"""Callers that leave at any moment: every answer is its caller's own, and nothing is used up (R10).

For PostgreSQL, through a proxy that delays every piece, so that there is time between a question and its answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest
from tests.stores.houses import ALPHA, BETA, backend_in
from tests.stores.places import POSTGRES, settings_in
from tests.support.engines.postgres import postgres_server
from tests.support.engines.proxy import Manner, Proxy

from partywall.errors import StoreUnavailable
from partywall.stores.backends.base import Backend, Insert, Row
from partywall.stores.backends.postgres.backend import PostgresBackend
from partywall.tenancy import Secret, TenantId

ROWS = 40
AT_ONCE = 20
MOST_CONNECTIONS = 16
GROUP = b"nonces"


def nonce(tenant: TenantId, number: int) -> bytes:
    return f"{tenant} {number}".encode()


@asynccontextmanager
async def delayed(folder: Path, kind: str) -> AsyncIterator[Backend]:
    """A backend, its server behind a proxy that delays."""
    if kind not in POSTGRES:
        backend = backend_in(folder, kind)
        yield backend
        await backend.aclose()
        return
    settings = settings_in(folder, kind)
    server = postgres_server()
    with Proxy(server.port) as proxy:
        dsn = settings.dsn().reveal().replace(f":{server.port}/", f":{proxy.port}/")
        behind = replace(settings, dsn=lambda: Secret(dsn), max_connections=MOST_CONNECTIONS)
        postgres = PostgresBackend(behind)
        proxy.behave(Manner.DELAY)
        yield postgres
        assert postgres.open_connections <= MOST_CONNECTIONS
        await postgres.aclose()
        assert postgres.open_connections == 0


@dataclass
class Counted:
    answered: int = 0
    cancelled: int = 0


class Storm:
    """Operations of two tenants, of which many are cancelled."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self._backend = backend
        self._dice = random.Random(seed)
        self._written = 0
        self._seconds = 0.01
        self.counted = Counted()

    async def prepare(self) -> None:
        for tenant in (ALPHA, BETA):
            rows = [Insert(GROUP, b"%d" % n, nonce(tenant, n)) for n in range(ROWS)]
            assert await self._backend.partition(tenant, "memory").commit(rows)

    async def rage(self, operations: int) -> None:
        """`AT_ONCE` callers share the operations."""
        left = iter(range(operations))

        async def caller() -> None:
            for _ in left:
                await self._one()

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))

    async def _one(self) -> None:
        tenant = self._dice.choice([ALPHA, BETA])
        work = self._dice.choice([self._get, self._get, self._page, self._write])
        began = time.monotonic()
        task = asyncio.create_task(work(tenant))
        if leaves := self._dice.random() < 0.25:
            # At any await: after some turns of the loop, or some time, spread over what an operation takes.
            for _ in range(self._dice.randrange(6)):
                await asyncio.sleep(0)
            if self._dice.random() < 0.8:
                await asyncio.sleep(self._dice.random() * self._seconds)
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.counted.cancelled += 1
            return
        self.counted.answered += 1
        if not leaves:
            self._seconds = 0.9 * self._seconds + 0.1 * (time.monotonic() - began)

    async def _get(self, tenant: TenantId) -> None:
        number = self._dice.randrange(ROWS)
        row = await self._backend.partition(tenant, "memory").get(GROUP, b"%d" % number)
        assert row == Row(GROUP, b"%d" % number, 1, nonce(tenant, number))

    async def _page(self, tenant: TenantId) -> None:
        first, limit = self._dice.randrange(ROWS - 6), self._dice.randint(1, 5)
        rows = await self._backend.partition(tenant, "memory").page(GROUP, after=b"%d" % first, limit=limit)
        expected = range(first + 1, first + 1 + limit)
        assert rows == [Row(GROUP, b"%d" % n, 1, nonce(tenant, n)) for n in expected]

    async def _write(self, tenant: TenantId) -> None:
        self._written += 1
        group = b"written %d" % self._written
        rows = self._backend.partition(tenant, "memory")
        assert await rows.commit([Insert(group, b"1", nonce(tenant, 1)), Insert(group, b"2", nonce(tenant, 2))])

    async def check(self) -> None:
        """What was cancelled is whole or absent, nothing is used up, and everybody has their own."""
        for tenant in (ALPHA, BETA):
            rows = self._backend.partition(tenant, "memory")
            async with asyncio.timeout(30):
                got = await asyncio.gather(*(rows.get(GROUP, b"%d" % n) for n in range(ROWS)))
            assert got == [Row(GROUP, b"%d" % n, 1, nonce(tenant, n)) for n in range(ROWS)]
            written = (await rows.count()) - ROWS
            assert written % 2 == 0


def storm(folder: Path, kind: str, operations: int) -> None:
    async def main() -> None:
        async with delayed(folder, kind) as backend:
            weather = Storm(backend, 11)
            await weather.prepare()
            await weather.rage(operations)
            await weather.check()
            assert weather.counted.answered > operations * 0.6
            assert weather.counted.cancelled > operations * 0.05

    asyncio.run(main())
    if kind in POSTGRES:
        nobody_is_left(folder)


def nobody_is_left(folder: Path) -> None:
    """No connection stays behind on the server."""
    for _ in range(200):
        left = postgres_server().query("SELECT count(*) FROM pg_stat_activity WHERE usename = 'pw_serving'")
        if left == [(0,)]:
            return
        time.sleep(0.05)
    raise AssertionError(f"{left} connections were forgotten")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_answer_changes_hands_and_nothing_is_used_up(tmp_path: Path, kind: str) -> None:
    storm(tmp_path, kind, 3000)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["sqlite", "postgres", "postgres-schemas", "postgres-databases"])
def test_soak(tmp_path: Path, kind: str) -> None:
    storm(tmp_path, kind, 100_000)


def test_a_connection_that_goes_on_after_a_cancellation_hands_answers_to_others(tmp_path: Path) -> None:
    """The naive version, on the real protocol: it reads the next reply, whose it may be; and ours notices."""

    class Naive:
        """One connection, written and read by whoever comes: a reply is matched by its order."""

        def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.reader, self.writer = reader, writer

        async def ask(self, number: int) -> bytes:
            self.writer.write(b"%d\n" % number)
            return (await self.reader.readline()).strip()

    async def main() -> list[tuple[int, bytes]]:
        ended = asyncio.Event()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                await asyncio.sleep(0.005)
                writer.write(line)
            writer.close()
            ended.set()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        naive = Naive(*await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1]))
        gone = asyncio.create_task(naive.ask(1))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        answers = [(2, await naive.ask(2)), (3, await naive.ask(3))]
        naive.writer.close()
        await ended.wait()
        server.close()
        return answers

    assert any(asked != int(answered) for asked, answered in asyncio.run(main()))


# -- Servers that are gone, slow or silent ---


async def refused(work: Callable[[], Awaitable[object]], *, within: float) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        await work()
    assert time.monotonic() - began < within
    assert "of-the-tests" not in str(caught.value)


@pytest.mark.parametrize(
    "manner", [Manner.REFUSE, Manner.SILENT, Manner.CUT, Manner.DRIP], ids=lambda manner: manner.name
)
def test_a_server_that_does_not_answer_is_unavailable_and_then_comes_back(tmp_path: Path, manner: Manner) -> None:
    async def main() -> None:
        settings, server = settings_in(tmp_path, "postgres"), postgres_server()
        with Proxy(server.port) as proxy:
            dsn = settings.dsn().reveal().replace(f":{server.port}/", f":{proxy.port}/")
            backend = PostgresBackend(
                replace(settings, dsn=lambda: Secret(dsn), timeout_seconds=1.5, max_connections=2)
            )
            rows = backend.partition(ALPHA, "memory")
            assert await rows.commit([Insert(b"g", b"k", b"x")])
            await asyncio.to_thread(proxy.behave, manner)
            for _ in range(2):
                await refused(lambda: rows.get(b"g", b"k"), within=8)
                await refused(lambda: rows.commit([Insert(b"g", b"l", b"x")]), within=8)
            await asyncio.to_thread(proxy.behave, Manner.PASS)
            assert await rows.get(b"g", b"k") == Row(b"g", b"k", 1, b"x")
            await asyncio.to_thread(proxy.cut_idle)
            assert await rows.get(b"g", b"k") == Row(b"g", b"k", 1, b"x"), "an idle connection that died is replaced"
            await asyncio.to_thread(proxy.go_stale)
            assert await rows.get(b"g", b"k") == Row(b"g", b"k", 1, b"x"), "one that dies when it is used is, too"
            await backend.aclose()

    asyncio.run(main())


def test_one_tenants_crowd_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Alpha's partition is locked by another process; its callers queue up, and beta is served at once."""

    async def main() -> None:
        settings = settings_in(tmp_path, "postgres")
        backend = PostgresBackend(replace(settings, max_connections=8))
        alphas, betas = backend.partition(ALPHA, "memory"), backend.partition(BETA, "memory")
        assert await alphas.commit([Insert(b"g", b"k", b"x")])
        holder = await asyncpg.connect(settings.dsn().reveal())
        await holder.execute("BEGIN; SELECT set_config('partywall.tenant', 'alpha', true)")
        await holder.execute("UPDATE partywall.partitions SET position = position WHERE store = 'memory'")
        crowd = [asyncio.create_task(alphas.commit([Insert(b"g", b"%d" % n, b"x")])) for n in range(50)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(5):
            for n in range(20):
                assert await betas.commit([Insert(b"g", b"%d" % n, b"x")])
        assert not any(task.done() for task in crowd)
        await holder.execute("ROLLBACK")
        assert all(await asyncio.gather(*crowd))
        await holder.close()
        await backend.aclose()

    asyncio.run(main())
