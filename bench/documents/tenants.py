"""Many tenants of a hundred pieces each: memory, open files, and what coming and searching cost at each number."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from bench.documents.scene import fill, opened, question
from bench.keys.rings import scope_of
from bench.proc import resident_mb
from partywall.stores import Stores
from partywall.tenancy import TenantId, TenantScope

__all__ = ["PIECES", "SIZES", "Sized", "measure_tenants"]

SIZES: Final = (10, 1_000, 10_000)
PIECES: Final = 100
_CALLS: Final = 500
_CALLERS: Final = 10
"""As many tenants ask at each size, so that what differs is only how many there are."""
_COLD: Final = 1_000
"""So many tenants at most search for the first time, spread over all."""
_AT_ONCE: Final = 8
"""So many tenants come at once: each waits for its keys and folders most of the time."""

Progress = Callable[[int, int], None]
"""Told how many tenants there are, and how many there will be."""


@dataclass(frozen=True, slots=True)
class Sized:
    """With so many tenants."""

    tenants: int
    coming_cpu_ms: float
    """Processor time of this process for each tenant that came since the last size: keys, files, 100 pieces."""
    us: float
    p99_us: float
    cold_us: float
    """Of a search by a tenant whose index isn't open."""
    resident_mb: float
    open_files: int


def measure_tenants(
    folder: Path, progress: Progress, *, sizes: tuple[int, ...] = SIZES, calls: int = _CALLS
) -> list[Sized]:
    """Measure at each size; tenants are added from one to the next."""
    return asyncio.run(_measure(folder, progress, sizes, calls))


async def _measure(folder: Path, progress: Progress, sizes: tuple[int, ...], calls: int) -> list[Sized]:
    made: list[Sized] = []
    async with opened(folder) as stores:
        have = 0
        for size in sizes:
            begun = time.process_time()
            coming = iter(range(have, size))
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(_come(stores, coming, lambda number: progress(number, sizes[-1])))
            cpu_ms = (time.process_time() - begun) / (size - have) * 1000
            have = size
            made.append(await _sized(stores, size, calls, cpu_ms))
    return made


async def _come(stores: Stores, coming: Iterator[int], tell: Callable[[int], None]) -> None:
    for number in coming:
        await fill(stores, _scope(number), PIECES)
        tell(number + 1)


async def _sized(stores: Stores, size: int, calls: int, cpu_ms: float) -> Sized:
    every = range(0, size, max(1, size // _COLD))
    cold = [await _search(stores, _scope(number), number) for number in every]
    callers = [_scope(number) for number in range(0, size, max(1, size // _CALLERS))]
    for scope in callers:
        await _search(stores, scope, 0)
    warm = [await _search(stores, callers[number % len(callers)], number) for number in range(calls)]
    return Sized(
        size,
        cpu_ms,
        median(warm) * 1e6,
        quantiles(warm, n=100)[-1] * 1e6,
        median(cold) * 1e6,
        resident_mb(os.getpid()),
        _open_files(),
    )


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _search(stores: Stores, scope: TenantScope, number: int) -> float:
    begun = time.perf_counter()
    hits = await stores.documents.search(scope, question(number))
    if not hits:
        raise AssertionError("nothing was found")
    return time.perf_counter() - begun


def _scope(number: int) -> TenantScope:
    return scope_of(TenantId(f"tenant-{number:05}"))
