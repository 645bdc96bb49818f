"""What a partition that compares vectors promises besides: each engine beside the model, always with two tenants."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.stores.engines import ENGINES
from tests.stores.houses import ALPHA, BETA, backend_in
from tests.stores.memory_backend import MemoryPartition
from tests.stores.places import POSTGRES, fresh_database, migrated_database, owner_of, settings_for
from tests.support.engines.postgres import OWNER, postgres_server

from partywall.errors import StoreUnavailable
from partywall.stores.backends.base import (
    Change,
    Delete,
    DropIndex,
    DropVectors,
    Insert,
    PutVectors,
    VectorChange,
    VectorPartition,
)
from partywall.stores.backends.postgres import partition
from partywall.stores.backends.postgres.backend import PostgresBackend
from partywall.stores.backends.postgres.settings import Strategy
from partywall.tenancy import TenantId

X, Y, G, H = b"index", b"inde", b"group", b"grou"
EAST, NORTH, NORTHEAST = (1.0, 0.0), (0.0, 1.0), (0.6, 0.8)

Part = Callable[[TenantId], "Partition"]


class Partition(MemoryPartition):
    """For types: a partition that does everything."""


def on_each(folder: Path, kind: str, body: Callable[[Part], Awaitable[None]], *, dimensions: int = 2) -> None:
    async def main() -> None:
        backend = backend_in(folder, kind, dimensions=dimensions)

        def part(tenant: TenantId) -> Partition:
            made = backend.partition(tenant, "documents")
            assert isinstance(made, VectorPartition)
            return made  # type: ignore[return-value]  # it has the methods of both protocols

        try:
            await body(part)
        finally:
            await backend.aclose()

    asyncio.run(main())


each_engine = pytest.mark.parametrize("kind", ["memory", *POSTGRES, *ENGINES])


@each_engine
def test_vectors_are_near_in_their_own_partition_and_index_only(tmp_path: Path, kind: str) -> None:
    async def body(part: Part) -> None:
        alphas, betas = part(ALPHA), part(BETA)
        assert await alphas.commit([PutVectors(X, G, 0, [EAST, NORTH]), PutVectors(X, H, 5, [NORTHEAST])])
        assert await betas.nearest(X, EAST, limit=10) == []
        assert await betas.commit([PutVectors(X, G, 0, [NORTH]), PutVectors(Y, G, 0, [EAST])])
        found = await alphas.nearest(X, NORTH, limit=10)
        assert [(near.group, near.number, round(near.score, 5)) for near in found] == [
            (G, 1, 1.0),
            (H, 5, 0.8),
            (G, 0, 0.0),
        ]
        assert [near.number for near in await alphas.nearest(X, NORTH, limit=2)] == [1, 5]
        assert [near.number for near in await alphas.nearest(X, NORTH, limit=9, groups=[H, b"of beta"])] == [5]
        assert [round(near.score, 5) for near in await betas.nearest(X, EAST, limit=10)] == [0.0]
        for drop in (DropIndex(X), DropVectors(X, G), DropIndex(Y)):
            assert await betas.commit([drop])
        assert await betas.count() == 0
        assert len(await alphas.nearest(X, NORTH, limit=10)) == 3

    on_each(tmp_path, kind, body)


@each_engine
def test_of_equally_near_ones_the_first_come_first(tmp_path: Path, kind: str) -> None:
    async def body(part: Part) -> None:
        alphas = part(ALPHA)
        groups = [bytes([byte]) for byte in (9, 3, 7, 1)]
        for group in groups:
            assert await alphas.commit([Insert(b"d", group, b""), PutVectors(X, group, 0, [EAST, EAST])])
        wanted = [(group, number) for group in groups for number in (0, 1)]
        for limit in (1, 3, 8):
            found = await alphas.nearest(X, EAST, limit=limit)
            assert [(near.group, near.number) for near in found] == wanted[:limit]

    on_each(tmp_path, kind, body)


@each_engine
def test_vectors_of_other_dimensions_are_not_near(tmp_path: Path, kind: str) -> None:
    async def body(part: Part) -> None:
        alphas = part(ALPHA)
        if kind == "pinecone":  # its index knows one kind only
            with pytest.raises(StoreUnavailable, match="answered 400"):
                await alphas.commit([PutVectors(X, H, 0, [(1.0, 0.0, 0.0)])])
            return
        assert await alphas.commit([PutVectors(X, G, 0, [EAST]), PutVectors(X, H, 0, [(1.0, 0.0, 0.0)])])
        assert [near.group for near in await alphas.nearest(X, EAST, limit=9)] == [G]
        assert await alphas.nearest(X, (1.0,), limit=9) == []

    on_each(tmp_path, kind, body)


@each_engine
def test_rows_and_vectors_change_together_or_not_at_all(tmp_path: Path, kind: str) -> None:
    async def body(part: Part) -> None:
        alphas = part(ALPHA)
        both: list[Change | VectorChange] = [PutVectors(X, G, 0, [EAST]), Insert(G, b"0", b"x")]
        assert not await alphas.commit([*both, Delete(G, b"not there")])
        assert await alphas.count() == 0
        assert await alphas.commit(both)
        assert await alphas.count() == 2
        if kind not in ENGINES:  # there, it would take its own place
            assert not await alphas.commit([Insert(G, b"1", b"x"), PutVectors(X, G, 0, [NORTH])])
        assert not await alphas.commit([DropIndex(X), Delete(G, b"not there")])
        assert [near.score for near in await alphas.nearest(X, EAST, limit=9)] == [1.0]
        assert await alphas.count() == 2
        assert await part(BETA).delete_all() == 0
        assert await alphas.delete_all() == 2
        assert await alphas.count() == 0
        assert await alphas.nearest(X, EAST, limit=9) == []

    on_each(tmp_path, kind, body)


@each_engine
def test_what_could_mean_everything_is_refused(tmp_path: Path, kind: str) -> None:
    async def body(part: Part) -> None:
        alphas = part(ALPHA)
        changes: list[VectorChange] = [
            PutVectors(b"", G, 0, [EAST]),
            PutVectors(X, b"", 0, [EAST]),
            PutVectors(X, G, -1, [EAST]),
            PutVectors(X, G, 0, []),
            PutVectors(X, G, 0, [()]),
            DropVectors(X, b""),
            DropVectors(b"", G),
            DropIndex(b""),
        ]
        for change in changes:
            with pytest.raises(ValueError, match=r"an empty one|vectors are"):
                await alphas.commit([change])
        looks: list[tuple[bytes, Sequence[float], int, list[bytes] | None]] = [
            (b"", EAST, 1, None),
            (X, (), 1, None),
            (X, EAST, 0, None),
            (X, EAST, 1001, None),
            (X, EAST, 1, []),
            (X, EAST, 1, [b""]),
        ]
        for index, vector, limit, groups in looks:
            with pytest.raises(ValueError, match=r"an empty one|a page has|a vector has"):
                await alphas.nearest(index, vector, limit=limit, groups=groups)

    on_each(tmp_path, kind, body)


@pytest.mark.parametrize("kind", [*POSTGRES, *ENGINES])
def test_an_engine_finds_what_the_model_finds(tmp_path: Path, kind: str) -> None:
    """Random vectors, groups and drops, with beta's among them; whole numbers, so that both add up the same."""

    async def body(part: Part) -> None:
        chance, model = random.Random(7), MemoryPartition()
        numbers = dict.fromkeys((b"a", b"b", b"c", b"d"), 0)
        for _ in range(60):
            group = chance.choice(list(numbers))
            vectors = [[float(chance.randint(-3, 3)) for _ in range(4)] for _ in range(chance.randint(1, 4))]
            change: VectorChange = PutVectors(X, group, numbers[group], vectors)
            numbers[group] += len(vectors)
            if chance.random() < 0.2:
                change = DropVectors(X, group)
            both: list[Change | VectorChange] = [Insert(b"g", chance.randbytes(8), b""), change]
            assert await model.commit(both)
            assert await part(ALPHA).commit(both)
            assert await part(BETA).commit([PutVectors(X, chance.randbytes(8), 0, vectors)])
            asked = [float(chance.randint(-3, 3)) for _ in range(4)]
            limit, groups = chance.randint(1, 20), chance.choice([None, [b"a"], [b"b", b"d"]])
            assert await part(ALPHA).nearest(X, asked, limit=limit, groups=groups) == await model.nearest(
                X, asked, limit=limit, groups=groups
            )
            assert await part(ALPHA).count() == await model.count()

    on_each(tmp_path, kind, body, dimensions=4)


@pytest.mark.parametrize("strategy", [*Strategy], ids=lambda strategy: strategy.value)
def test_a_large_index_has_a_graph_where_its_tenant_is_alone(
    strategy: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds what an exact search finds; a filter, and what the graph falls short of, is exact again."""
    alone = strategy is not Strategy.NAMESPACE
    server, database = postgres_server(), fresh_database(strategy)
    chance = np.random.default_rng(11)
    centres = chance.normal(size=(40, 32))
    vectors = np.repeat(centres, 50, axis=0) + 0.4 * chance.normal(size=(2000, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    asked = vectors[::80] + (0.1 * chance.normal(size=(25, 32))).astype(np.float32)

    async def main() -> None:
        backend = PostgresBackend(settings_for(server.dsn(database), strategy))
        alphas, betas = backend.partition(ALPHA, "documents"), backend.partition(BETA, "documents")
        assert await alphas.commit([PutVectors(X, G, 0, vectors.tolist()), PutVectors(Y, G, 0, [EAST])])
        assert await betas.commit([PutVectors(X, H, 0, vectors[:500].tolist())])
        exact = [await alphas.nearest(X, each.tolist(), limit=10) for each in asked]
        for _ in range(2):
            await owner_of(server, database, large=1000).provision(ALPHA, strategy)
        await owner_of(server, database, large=1000).provision(BETA, strategy)
        await backend.aclose()  # with a connection, what it did is counted
        before = await _walks(database, strategy)
        backend = PostgresBackend(settings_for(server.dsn(database), strategy))
        alphas, betas = backend.partition(ALPHA, "documents"), backend.partition(BETA, "documents")
        found = [await alphas.nearest(X, each.tolist(), limit=10) for each in asked]
        await backend.aclose()
        same = sum(len({*one} & {*other}) for one, other in zip(exact, found, strict=True))
        assert same >= 0.99 * 10 * len(asked)
        assert await _walks(database, strategy) - before == (len(asked) if alone else 0)
        backend = PostgresBackend(settings_for(server.dsn(database), strategy))
        alphas, betas = backend.partition(ALPHA, "documents"), backend.partition(BETA, "documents")
        first = asked[0].tolist()
        assert len(await alphas.nearest(X, first, limit=10, groups=[G])) == 10
        assert await alphas.nearest(X, first, limit=10, groups=[H]) == []
        assert len(await alphas.nearest(X, first, limit=1000)) == 1000
        monkeypatch.setattr(partition, "_MOST_EFFORT", 20)  # now a graph finds 20 at most
        assert len(await alphas.nearest(X, first, limit=300)) == 300
        assert len(await betas.nearest(X, first, limit=1000)) == 500
        assert await alphas.commit([DropVectors(X, G), PutVectors(X, H, 0, vectors[:3].tolist())])
        assert len(await alphas.nearest(X, first, limit=10)) == 3
        await owner_of(server, database, large=1000).provision(ALPHA, strategy)
        assert await _graphs(database, strategy) == 0
        await backend.aclose()

    asyncio.run(main())


async def _graphs(database: str, strategy: Strategy) -> int:
    return len(await _statistics(database, strategy))


async def _walks(database: str, strategy: Strategy) -> int:
    """How often a graph was walked through."""
    await asyncio.sleep(0.3)
    return sum(int(str(count)) for count in await _statistics(database, strategy))


async def _statistics(database: str, strategy: Strategy) -> list[object]:
    server, found = postgres_server(), "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE 'near\\_%'"
    places = server.query("SELECT name FROM partywall.placements WHERE name <> ''", database=database)
    where = [str(name) for (name,) in places] if strategy is Strategy.SEPARATE_DB else [database]
    return [count for each in where for (count,) in server.query(found, database=each)]


def test_without_a_table_of_vectors_there_are_rows_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        database = migrated_database()
        postgres_server().execute("DROP TABLE partywall.vectors", database=database, user=OWNER)
        backend = PostgresBackend(settings_for(postgres_server().dsn(database), Strategy.NAMESPACE, vectors=False))
        await backend.check()
        alphas = backend.partition(ALPHA, "documents")
        assert await alphas.commit([Insert(G, b"1", b"x")])
        for refused in (alphas.commit([DropIndex(X)]), alphas.nearest(X, EAST, limit=1)):
            with pytest.raises(StoreUnavailable, match="no table of vectors"):
                await refused
        assert await alphas.delete_all() == 1
        await backend.aclose()

    asyncio.run(main())
