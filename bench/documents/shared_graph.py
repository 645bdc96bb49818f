"""The same on PostgreSQL: ours, exact under row-level security, beside one graph (HNSW) of all tenants' vectors.

The shared graph has row-level security too, as a store has that leaves the rest to it: it walks to what is near, and
the policy then takes away what is another's. The planner is kept from its way out, to compare everybody's vectors.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from bench.documents.scene import DIMENSIONS
from bench.keys.rings import ALPHA, BETA

if TYPE_CHECKING:
    from tests.support.engines.postgres import PostgresServer

__all__ = ["Shared", "measure_shared_graph"]

_K: Final = 10
_BATCH: Final = 2000
_INDEX: Final = b"index"
_ENTER: Final = "SELECT set_config('partywall.tenant', $1, true)"
_WALK: Final = "SET LOCAL enable_seqscan = off"
"""At this size a planner may still prefer to compare every tenant's vectors: right, and as slow as it sounds."""
_POLICY: Final = "tenant = NULLIF(current_setting('partywall.tenant', true), '')"
_GRAPH: Final = "shared_graph"

_COPY: Final = (
    f"CREATE TABLE {_GRAPH} AS SELECT tenant, number, embedding::vector({DIMENSIONS}) FROM partywall.vectors "  # noqa: S608  # names of our own
    "WHERE store = 'documents'"
)

_Ask = Callable[[Sequence[float]], Awaitable[list[int]]]
Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """What a small tenant got."""

    recall: float
    """Of the ten nearest, the share."""
    us: float


@dataclass(frozen=True, slots=True)
class Shared:
    """Alone, and beside the neighbour; ours, and the shared graph."""

    ours_alone: Found
    ours_beside: Found
    graph_alone: Found
    graph_beside: Found


def measure_shared_graph(*, own: int, neighbours: int, calls: int) -> Shared:
    """Measure all four, on a server that is started for it."""
    from tests.stores.places import fresh_database  # noqa: PLC0415  # starts a server: for this section only
    from tests.support.engines.postgres import postgres_server  # noqa: PLC0415  # likewise

    from partywall.stores.provisioning import Strategy  # noqa: PLC0415  # beside what it is for

    return asyncio.run(_measure(postgres_server(), fresh_database(Strategy.NAMESPACE), own, neighbours, calls))


async def _measure(server: PostgresServer, database: str, own: int, neighbours: int, calls: int) -> Shared:
    from tests.stores.places import settings_for  # noqa: PLC0415  # see above

    from partywall.stores.backends.base import PutVectors  # noqa: PLC0415  # beside what it is for
    from partywall.stores.backends.postgres.backend import PostgresBackend  # noqa: PLC0415  # needs an extra
    from partywall.stores.provisioning import Strategy  # noqa: PLC0415  # see above

    drawn = np.random.default_rng(17)
    centre = drawn.standard_normal(DIMENSIONS)
    small, large, asked = (_near(drawn, centre, count) for count in (own, neighbours, calls))
    backend = PostgresBackend(settings_for(server.dsn(database), Strategy.NAMESPACE, timeout_seconds=120))
    betas, alphas = backend.partition(BETA, "documents"), backend.partition(ALPHA, "documents")

    async def ours(vector: Sequence[float]) -> list[int]:
        return [near.number for near in await betas.nearest(_INDEX, vector, limit=_K)]

    try:
        await betas.commit([PutVectors(_INDEX, b"group", 0, small.tolist())])
        ours_alone = await _found(ours, small, asked)
        graph_alone = await _of_graph(server, database, small, asked)
        for first in range(0, neighbours, _BATCH):
            vectors = large[first : first + _BATCH].tolist()
            await alphas.commit([PutVectors(_INDEX, b"group", first, vectors)])
        ours_beside = await _found(ours, small, asked)
        graph_beside = await _of_graph(server, database, small, asked)
    finally:
        await backend.aclose()
    return Shared(ours_alone, ours_beside, graph_alone, graph_beside)


def _near(drawn: np.random.Generator, centre: npt.NDArray[np.float64], count: int) -> Matrix:
    """Vectors of one subject: tenants of one trade write about the same."""
    vectors = centre + drawn.standard_normal((count, DIMENSIONS))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


async def _found(ask: _Ask, small: Matrix, asked: Matrix) -> Found:
    right, seconds = 0, []
    for vector in asked:
        begun = time.perf_counter()
        got = await ask(vector.tolist())
        seconds.append(time.perf_counter() - begun)
        right += len({int(row) for row in np.argsort(-(small @ vector))[:_K]} & set(got))
    return Found(right / (_K * len(asked)), median(seconds) * 1e6)


async def _of_graph(server: PostgresServer, database: str, small: Matrix, asked: Matrix) -> Found:
    """What the small tenant gets from a copy of the table with a graph over everybody's."""
    import asyncpg  # noqa: PLC0415  # of the extra `postgres`
    from tests.support.engines.postgres import SERVING  # noqa: PLC0415  # see above

    server.execute(
        f"DROP TABLE IF EXISTS {_GRAPH}",
        _COPY,
        f"CREATE INDEX ON {_GRAPH} USING hnsw (embedding vector_ip_ops)",
        f"ALTER TABLE {_GRAPH} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY own ON {_GRAPH} USING ({_POLICY})",
        f"GRANT SELECT ON {_GRAPH} TO {SERVING}",
        f"ANALYZE {_GRAPH}",
        database=database,
    )
    connection = await asyncpg.connect(server.dsn(database))
    statement = f"SELECT number FROM {_GRAPH} ORDER BY embedding <#> $1::real[]::vector({DIMENSIONS}) LIMIT {_K}"  # noqa: S608  # likewise

    async def ask(vector: Sequence[float]) -> list[int]:
        async with connection.transaction():
            await connection.execute(_ENTER, BETA)
            await connection.execute(_WALK)
            return [row["number"] for row in await connection.fetch(statement, vector)]

    try:
        return await _found(ask, small, asked)
    finally:
        await connection.close()
