"""Databases of a real PostgreSQL for houses: a clean one for each folder, in each of the three placements.

A few are kept for each placement, and emptied when it is their turn again: that is faster than making new ones.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.engines.postgres import OWNER, PostgresServer, postgres_server

from partywall.stores.backends.postgres.owner import LARGE, Owner
from partywall.stores.backends.postgres.settings import PostgresSettings, Strategy
from partywall.tenancy import Secret, TenantId

__all__ = ["PLACED", "POSTGRES", "fresh_database", "migrated_database", "owner_of", "settings_for", "settings_in"]

POSTGRES: Final[Mapping[str, Strategy]] = {
    "postgres": Strategy.NAMESPACE,
    "postgres-schemas": Strategy.SEPARATE_COLLECTION,
    "postgres-databases": Strategy.SEPARATE_DB,
}
PLACED: Final = (TenantId("alpha"), TenantId("beta"), TenantId("beta2"))
"""Tenants for whom something is provisioned where that is needed."""
_KEPT: Final = 4
_NOTE: Final = "postgres.dsn"
"""In a house's folder: which database is its own. Other processes read it there."""


def owner_of(server: PostgresServer, database: str, *, vectors: bool = True, large: int = LARGE) -> Owner:
    """The owner of the tables in that database."""
    return Owner(Secret(server.dsn(database, OWNER)), Secret(server.dsn(database)), vectors=vectors, large=large)


@cache
def _template() -> str:
    """A migrated database, which is copied and never used."""
    server = postgres_server()
    database = server.new_database()
    asyncio.run(owner_of(server, database).migrate())
    return database


def migrated_database() -> str:
    """A new database of the newest version, with nothing in it."""
    return _elsewhere(lambda: postgres_server().new_database(_template()))


def fresh_database(strategy: Strategy) -> str:
    """A database of the newest version in which nobody has rows, with `PLACED` provisioned. Kept ones come round."""
    kept = _kept(strategy)
    if len(kept) < _KEPT:
        database = _elsewhere(lambda: _furnished(strategy))
        kept.append(database)
        return database
    kept.rotate(-1)
    _empty(kept[-1], strategy)
    return kept[-1]


@cache
def _kept(strategy: Strategy) -> deque[str]:
    return deque()


def _furnished(strategy: Strategy) -> str:
    server = postgres_server()
    database = server.new_database(_template())
    if strategy is not Strategy.NAMESPACE:

        async def provision() -> None:
            for tenant in PLACED:
                await owner_of(server, database).provision(tenant, strategy)

        asyncio.run(provision())
    return database


def _empty(database: str, strategy: Strategy) -> None:
    server = postgres_server()
    server.execute(
        "DELETE FROM partywall.rows WHERE tenant NOT LIKE '\\_probe%'",
        "DELETE FROM partywall.partitions",
        "DELETE FROM partywall.vectors WHERE tenant NOT LIKE '\\_probe%'",
        database=database,
    )
    for (name,) in server.query("SELECT name FROM partywall.placements WHERE name <> ''", database=database):
        schema, where = (
            (f'"{name}"', database) if strategy is Strategy.SEPARATE_COLLECTION else ("partywall", str(name))
        )
        for table in ("rows", "partitions", "vectors"):
            server.execute(f"DELETE FROM {schema}.{table}", database=where)


def _elsewhere(work: Callable[[], str]) -> str:
    """In a thread, where no event loop runs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(120)


def settings_for(
    dsn: str, strategy: Strategy, *, max_connections: int = 16, timeout_seconds: float = 30.0, vectors: bool = True
) -> PostgresSettings:
    """As `platform` would make them of a document."""
    return PostgresSettings(
        dsn=lambda: Secret(dsn),
        strategy=strategy,
        max_connections=max_connections,
        timeout_seconds=timeout_seconds,
        vectors=vectors,
    )


def settings_in(folder: Path, kind: str) -> PostgresSettings:
    """Of the database that belongs to the folder; a clean one for a new folder."""
    note = folder / _NOTE
    if not note.exists():
        note.write_text(postgres_server().dsn(fresh_database(POSTGRES[kind])))
    return settings_for(note.read_text(), POSTGRES[kind])
