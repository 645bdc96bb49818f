"""What a tenant of 50 pieces finds, and how fast, without a neighbour and beside one of 20,000."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from bench.documents.scene import Drawn, fill, opened, question
from bench.keys.rings import ALPHA, BETA, scope_of
from partywall.stores import Hit, Stores
from partywall.tenancy import TenantScope

__all__ = ["NEIGHBOURS", "OWN", "Neighbours", "measure_neighbours"]

OWN: Final = 50
NEIGHBOURS: Final = 20_000
_K: Final = 10
_CALLS: Final = 300


@dataclass(frozen=True, slots=True)
class Seen:
    """What the small tenant sees."""

    recall: float
    """Of the ten nearest pieces, the share that it got."""
    us: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Without the neighbour, and with it."""

    alone: Seen
    beside: Seen
    same: bool
    """Whether every answer was the same, scores and all."""


def measure_neighbours(folder: Path, *, neighbours: int = NEIGHBOURS, calls: int = _CALLS) -> Neighbours:
    """Measure both."""
    return asyncio.run(_measure(folder, neighbours, calls))


async def _measure(folder: Path, neighbours: int, calls: int) -> Neighbours:
    small, large = scope_of(BETA), scope_of(ALPHA)
    async with opened(folder) as stores:
        await fill(stores, small, OWN)
        alone, first = await _seen(stores, small, calls)
        await fill(stores, large, neighbours)
        await stores.documents.search(large, question(0), k=_K)
        beside, second = await _seen(stores, small, calls)
        return Neighbours(alone, beside, first == second)


async def _seen(stores: Stores, scope: TenantScope, calls: int) -> tuple[Seen, list[list[Hit]]]:
    everything = await stores.documents.search(scope, question(0), k=OWN)
    drawn, texts = Drawn(), [hit.text for hit in everything]
    matrix = np.stack([drawn.one(text) for text in texts])
    found: list[list[Hit]] = []
    seconds: list[float] = []
    right = 0
    for number in range(calls):
        begun = time.perf_counter()
        hits = await stores.documents.search(scope, question(number), k=_K)
        seconds.append(time.perf_counter() - begun)
        nearest = np.argsort(-(matrix @ drawn.one(question(number))))[:_K]
        right += len({texts[row] for row in nearest} & {hit.text for hit in hits})
        found.append(list(hits))
    return Seen(right / (_K * calls), median(seconds) * 1e6), found
