"""A bounded number of connections, to as many databases as there are.

Promises: never more than `max_connections` are open, whatever is asked and whoever is cancelled; the least recently
used one is closed when another database needs its place. Nothing is left on a connection between two transactions, and
nothing is prepared by name, so that a pooler by transactions (PgBouncer) may lie between. A connection on which
anything went wrong, a cancellation included, is cut off and never used again: a late answer meets nobody (R10, C50).

Doesn't promise: to know that a server died before it is asked. A connection that turns out to be dead at its first word
is replaced once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg

from partywall.errors import StoreUnavailable
from partywall.stores.backends.postgres.address import parse_address
from partywall.stores.backends.postgres.settings import PostgresSettings
from partywall.stores.backends.postgres.statements import COMMIT, ENTER, ROLLBACK, begin

__all__ = ["FAILURES", "Connection", "Connections", "Transaction", "connect", "savepoint", "told"]

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""What a driver raises when something is wrong with a server, a statement or the way to it."""
_LOST: Final = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)
_OPERATOR_STOPPED: Final = asyncpg.AdminShutdownError
_NAME: Final = "storage.dsn_ref"


class Transaction:
    """A transaction under way, in somebody's name."""

    __slots__ = ("connection", "keep")

    def __init__(self, connection: Connection) -> None:
        self.connection: Final = connection
        self.keep = True
        """Whether what was done is committed at the end."""


def told(error: BaseException) -> str:
    """What went wrong, for operators: the first line. Further ones quote keys of rows, and statements."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


async def connect(settings: PostgresSettings, database: str | None = None) -> Connection:
    """A new connection; `database` in place of the one in the connection string."""
    dsn = settings.dsn()
    address = parse_address(dsn, _NAME)
    return await asyncpg.connect(
        dsn.reveal(),
        database=database or address.database,
        timeout=settings.timeout_seconds,
        command_timeout=settings.timeout_seconds,
        statement_cache_size=0,
    )


class Connections:
    """All of one backend's. They belong to the event loop that uses them first."""

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._begin = {
            reading: begin(reading=reading, timeout_seconds=settings.timeout_seconds) for reading in (True, False)
        }
        self._permits = asyncio.Semaphore(settings.max_connections)
        self._used = 0
        self._idle: list[tuple[str | None, Connection]] = []  # least recently used first
        self._closed = False

    @property
    def open_connections(self) -> int:
        """How many there are, and are being opened."""
        return self._used + len(self._idle)

    @asynccontextmanager
    async def transaction(
        self, database: str | None, tenant: str, role: str, *, reading: bool
    ) -> AsyncIterator[Transaction]:
        """A transaction in that database (None: the main one), in the name of `tenant`, and of `role` unless `none`.

        Raises:
            StoreUnavailable: the backend was closed.
            FAILURES: whatever the driver meets.
        """
        async with self._lease(database, reading=reading) as under_way:
            await under_way.connection.fetchrow(ENTER, tenant, role)
            yield under_way

    @asynccontextmanager
    async def probing(self) -> AsyncIterator[Transaction]:
        """A transaction in nobody's name on a new connection, undone at its end. Raises as `transaction` does."""
        self._close_idle()
        async with self._lease(None, reading=False) as under_way:
            under_way.keep = False
            yield under_way

    @asynccontextmanager
    async def _lease(self, database: str | None, *, reading: bool) -> AsyncIterator[Transaction]:
        if self._closed:
            raise StoreUnavailable("the store was closed")
        async with self._permits:
            self._used += 1
            connection: Connection | None = None
            try:
                connection = await self._begun(database, reading=reading)
                under_way = Transaction(connection)
                yield under_way
                await _end(under_way)
            except BaseException:
                # INVARIANT: what was interrupted, however, is never used again; there may be an answer on its way.
                if connection is not None:
                    connection.terminate()
                raise
            else:
                self._keep(database, connection)
            finally:
                self._used -= 1

    async def _begun(self, database: str | None, *, reading: bool) -> Connection:
        """A connection with a transaction that has just begun."""
        statement = self._begin[reading]
        connection = self._take(database)
        if connection is not None:
            try:
                return await _run(connection, statement)
            except (*_LOST, _OPERATOR_STOPPED):
                pass  # it died while it lay idle, and nothing was asked of it yet
        self._make_room()
        connection = await connect(self._settings, database)
        return await _run(connection, statement)

    def _take(self, database: str | None) -> Connection | None:
        """The idle connection to that database that was used last."""
        for place in range(len(self._idle) - 1, -1, -1):
            if self._idle[place][0] == database:
                connection = self._idle.pop(place)[1]
                if not connection.is_closed():
                    return connection
        return None

    def _make_room(self) -> None:
        """Close the idle connections that would be one too many, those least recently used first."""
        while self._idle and self.open_connections > self._settings.max_connections:
            self._idle.pop(0)[1].terminate()

    def _keep(self, database: str | None, connection: Connection) -> None:
        if self._closed:
            connection.terminate()
        elif not connection.is_closed():
            self._idle.append((database, connection))

    async def aclose(self) -> None:
        """Refuse what comes, wait for what is under way, and close."""
        self._closed = True
        for _ in range(self._settings.max_connections):
            await self._permits.acquire()
        self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop()[1].terminate()


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """What fails in here is undone, and what was done before stands."""
    await connection.execute("SAVEPOINT here")
    try:
        yield
    except asyncpg.PostgresError:
        await connection.execute("ROLLBACK TO SAVEPOINT here")
        raise
    await connection.execute("RELEASE SAVEPOINT here")


async def _end(under_way: Transaction) -> None:
    said = await under_way.connection.execute(COMMIT if under_way.keep else ROLLBACK)
    if under_way.keep and said != COMMIT:
        raise asyncpg.InterfaceError("the server undid the transaction")


async def _run(connection: Connection, statement: str) -> Connection:
    try:
        await connection.execute(statement)
    except BaseException:
        connection.terminate()
        raise
    return connection
