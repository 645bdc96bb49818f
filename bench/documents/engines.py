"""Chroma beside a scan in memory: how long a search takes, and whether it finds the same.

`python -m bench.documents.engines`
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
from tests.stores.engines import engine_for

from partywall.stores.backends.vectors.engine import Point
from partywall.stores.backends.vectors.names import TenantNames
from partywall.stores.documents.index import Block, Index, Known, Stamp
from partywall.tenancy import TenantId

_DIMENSIONS = 256
_ASKED = 200
_WANTED = 110
"""As many as `BesidePartition.nearest` asks for when ten are wanted."""


async def _timed(asked: Sequence[Sequence[float]], search: Callable[[Sequence[float]], Awaitable[list[int]]]) -> None:
    times = []
    for each in asked:
        start = time.perf_counter()
        await search(each)
        times.append((time.perf_counter() - start) * 1000)
    print(f"  median {np.median(times):.2f} ms, of 20 the slowest {np.quantile(times, 0.95):.2f} ms")


async def main() -> None:
    """Print the figures."""
    chance = np.random.default_rng(3)
    for count in (1000, 10_000):
        centres = chance.normal(size=(count // 50, _DIMENSIONS))
        vectors = np.repeat(centres, 50, axis=0) + 0.4 * chance.normal(size=(count, _DIMENSIONS))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        asked = vectors[:: count // _ASKED] + 0.05 * chance.normal(size=(_ASKED, _DIMENSIONS)).astype(np.float32)
        index = Index(Stamp("", 1), "", _DIMENSIONS, [Known("", "v", {})], [Block("v", 0, vectors)])
        true = [{each.number for each in index.nearest(one, 10)} for one in asked]
        engine, names = engine_for("chroma"), TenantNames(TenantId("bench"), secrets.token_bytes(32))
        room = names.room(b"", _DIMENSIONS)
        start = time.perf_counter()
        points = [Point(names.point(b"", b"g", n), b"g".hex(), n, n, each) for n, each in enumerate(vectors.tolist())]
        await engine.put(room, points)
        print(f"{count} vectors; put into Chroma in {time.perf_counter() - start:.1f} s")

        async def scan(one: Sequence[float], index: Index = index) -> list[int]:
            return [each.number for each in index.nearest(np.array(one, np.float32), 10)]

        for groups in (None, [b"g".hex()]):
            hits: list[int] = []

            async def chroma(one: Sequence[float], groups: list[str] | None = groups) -> list[int]:
                found = await engine.nearest(room, one, limit=_WANTED, groups=groups)  # noqa: B023 - awaited in here
                return [each.number for each in sorted(found, key=lambda each: -each.score)[:10]]

            for one, wanted in zip(asked.tolist(), true, strict=True):
                hits.append(len({*await chroma(one)} & wanted))
            print(f" Chroma{', filtered' if groups else ''}: recall {sum(hits) / (10 * _ASKED):.4f}")
            await _timed(asked.tolist(), chroma)
        print(" in memory:")
        await _timed(asked.tolist(), scan)
        await engine.drop_all(names.whose)
        await engine.aclose()


if __name__ == "__main__":
    asyncio.run(main())
