"""The first wall really down, on a real server: row-level security off or passed by, and the tenant in no statement.

What `fallen` plays, PostgreSQL does here itself. Either half of the placement alone still keeps everything apart;
without both of them, the rows of another tenant do come back from the server, and the other two walls stop them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest
from tests.stores.fallen import without
from tests.stores.houses import ALPHA, BETA, House, house_in, scope_of
from tests.stores.places import owner_of, settings_in
from tests.stores.uses import USES
from tests.support.engines.postgres import OWNER, SERVING, postgres_server

from partywall.keys import Store
from partywall.stores.backends.postgres.address import parse_address
from partywall.stores.backends.postgres.backend import PostgresBackend
from partywall.stores.backends.postgres.places import MAIN
from partywall.stores.backends.postgres.statements import LAST_POSITION, Statements
from partywall.stores.walls import Walls

A, B = scope_of(ALPHA), scope_of(BETA)
ALPHAS, BETAS = "planted-by-alpha", "planted-by-beta"


_RANK = "((tenant = $1)::int * 1000000000000 + position)"
"""A place in the order of all tenants' rows, the others' first."""


@dataclass(frozen=True)
class _Forgetful(Statements):
    """Nobody wrote the tenant into the statements that read, nor what was asked for. Other tenants' rows come first."""

    @cached_property
    def get(self) -> str:
        return (
            "SELECT grp, key, revision, sealed FROM partywall.rows WHERE store = $2 AND $3::bytea IS NOT NULL "
            "AND $4::bytea IS NOT NULL ORDER BY tenant = $1, key <> $4, position LIMIT 1"
        )

    @cached_property
    def get_many(self) -> str:
        return (
            "SELECT r.* FROM unnest($3::bytea[], $4::bytea[]) WITH ORDINALITY AS asked (grp, key, number) "
            "LEFT JOIN LATERAL (SELECT grp, key, revision, sealed FROM partywall.rows AS any_ones WHERE store = $2 "
            "ORDER BY tenant = $1, any_ones.key <> asked.key, position LIMIT 1) AS r ON true ORDER BY asked.number"
        )

    @cached_property
    def position(self) -> str:
        return f"SELECT max({_RANK}) FROM partywall.rows WHERE store = $2 AND $3::bytea IS NOT NULL AND key = $4"

    @cached_property
    def forwards(self) -> str:
        # Everything at once, whatever the limit, so that going on behind the last one comes to an end.
        return (
            "SELECT grp, key, revision, sealed FROM partywall.rows WHERE store = $2 AND $3::bytea IS NOT NULL AND "
            f"($4::bigint = {LAST_POSITION} OR {_RANK} > $4) AND $5::bigint > 0 ORDER BY {_RANK}"
        )

    @cached_property
    def backwards(self) -> str:
        return self.forwards


def off(database: str) -> None:
    """Row-level security, gone from the table."""
    postgres_server().execute(
        "DROP POLICY own ON partywall.rows",
        "DROP POLICY nobody_elses ON partywall.rows",
        "ALTER TABLE partywall.rows NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE partywall.rows DISABLE ROW LEVEL SECURITY",
        database=database,
    )


def repair(database: str) -> None:
    asyncio.run(owner_of(postgres_server(), database).migrate())


def forget(backend: PostgresBackend) -> None:
    """From now on, no statement names a tenant."""
    for tenant in (ALPHA, BETA):
        backend._places._known[tenant] = replace(MAIN, statements=_Forgetful(MAIN.statements.schema))


@pytest.fixture
def database(tmp_path: Path) -> str:
    return parse_address(settings_in(tmp_path, "postgres").dsn(), "test").database


async def planted_and_seen(house: House, *, forgetful: bool) -> str:
    """Both store, everywhere; then the statements forget, and beta looks for everything by alpha's ids as well."""
    seen: list[str] = []
    ids: dict[str, list[str]] = {}
    for store, use in USES.items():
        ids[store] = [*await use.plant(house.stores, A, ALPHAS), *await use.plant(house.stores, B, BETAS)]
    assert isinstance(house.backend, PostgresBackend)
    if forgetful:
        forget(house.backend)
    for store, use in USES.items():
        if store != "sessions":  # a session holds no text; test_walls counts them
            seen += await use.look(house.stores, B, ids[store])
    return " ".join(seen)


COMBINATIONS = [("verification",), ("null key",), ("one key",), ()]


@pytest.mark.parametrize("how", ["policy dropped", "served as the owner"])
@pytest.mark.parametrize("fallen", COMBINATIONS, ids=lambda fallen: "+".join(fallen) or "alone")
def test_without_the_engines_wall_the_others_hold(
    tmp_path: Path, database: str, how: str, fallen: tuple[str, ...]
) -> None:
    if how == "policy dropped":
        off(database)
    else:
        postgres_server().execute("ALTER TABLE partywall.rows NO FORCE ROW LEVEL SECURITY", database=database)
        note = tmp_path / "postgres.dsn"
        note.write_text(note.read_text().replace(SERVING, OWNER))

    async def main() -> None:
        async with house_in(tmp_path, "postgres", without(fallen)) as house:
            seen = await planted_and_seen(house, forgetful=True)
            assert ALPHAS not in seen
            assert house.alarms
            assert not any(ALPHAS in str(alarm) for alarm in house.alarms)

    try:
        asyncio.run(main())
    finally:
        repair(database)


def test_the_harness_can_fail(tmp_path: Path, database: str) -> None:
    """With the other two gone as well, alpha's bytes reach beta: the server did return them."""
    off(database)

    async def main() -> None:
        async with house_in(tmp_path, "postgres", without(("null key", "verification"))) as house:
            assert ALPHAS in await planted_and_seen(house, forgetful=True)

    try:
        asyncio.run(main())
    finally:
        repair(database)


@pytest.mark.parametrize("half", ["policy", "statements"])
def test_either_half_of_the_placement_is_enough(tmp_path: Path, database: str, half: str) -> None:
    """The other two walls are down: nothing but the policy, or nothing but the statements, is left."""
    if half == "statements":
        off(database)

    async def main() -> None:
        async with house_in(tmp_path, "postgres", without(("null key", "verification"))) as house:
            assert ALPHAS not in await planted_and_seen(house, forgetful=half == "policy")

    try:
        asyncio.run(main())
    finally:
        repair(database)


def test_walls_are_those_that_are_shipped(tmp_path: Path) -> None:
    """What these tests take down is what a house is built with."""

    async def main() -> None:
        async with house_in(tmp_path, "postgres") as house:
            walls: Walls = house.walls(Store.MEMORY)
            assert walls.placement.partition(A)._backend is house.backend  # type: ignore[attr-defined]  # a partition of PostgreSQL's
            await house.stores.memory.add(A, "agent", ALPHAS)
            assert isinstance(house.backend, PostgresBackend)
            assert house.backend._places._known[ALPHA] == replace(MAIN, has_vectors=True)

    asyncio.run(main())
