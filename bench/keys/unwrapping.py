"""How long a root takes to unwrap a tenant's key: alone, and as the first use of a key that isn't held.

The first use asks the root, writes the record that it was asked, derives the data key and opens a record with it.
Roots take turns, one call each.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Final

from bench.keys.engines import RootKind
from bench.keys.rings import ALPHA, Setting, scope_of
from partywall.keys import KeyAlarm, KeyRing, Store
from partywall.keys.roots import open_root

__all__ = ["CALLS", "Latencies", "Unwrapped", "measure_unwrapping"]

CALLS: Final = 200
_WARM: Final = 10
_CONTEXT: Final = b"bench"


@dataclass(slots=True)
class Latencies:
    """In milliseconds, one for each call."""

    each: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return median(self.each)

    @property
    def p95(self) -> float:
        """The latency that 95 % of the calls stayed within."""
        return quantiles(self.each, n=20, method="inclusive")[-1]


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """What was measured of one root."""

    root: str
    alone: Latencies = field(default_factory=Latencies)
    first_use: Latencies = field(default_factory=Latencies)


Call = Callable[[], Awaitable[object]]


def measure_unwrapping(kinds: Sequence[RootKind], folder: Path) -> list[Unwrapped]:
    """Every root, in the order of `kinds`."""
    return asyncio.run(_measure(kinds, folder))


async def _measure(kinds: Sequence[RootKind], folder: Path) -> list[Unwrapped]:
    found = [Unwrapped(kind.name) for kind in kinds]
    async with AsyncExitStack() as stack:
        calls: list[tuple[Latencies, Call]] = []
        for number, (kind, mine) in enumerate(zip(kinds, found, strict=True)):
            calls.append((mine.alone, await _alone(stack, kind)))
            calls.append((mine.first_use, await _first_use(stack, kind, folder / str(number))))
        for _ in range(_WARM):
            for _, call in calls:
                await call()
        for _ in range(CALLS):
            for latencies, call in calls:
                began = perf_counter()
                await call()
                latencies.each.append((perf_counter() - began) * 1000)
    return found


async def _alone(stack: AsyncExitStack, kind: RootKind) -> Call:
    root = open_root(kind.new_place().settings(ALPHA))
    stack.push_async_callback(root.aclose)
    await root.prepare(ALPHA)
    wrapped = await root.wrap(ALPHA, os.urandom(32), _CONTEXT)
    return lambda: root.unwrap(ALPHA, wrapped, _CONTEXT)


async def _first_use(stack: AsyncExitStack, kind: RootKind, folder: Path) -> Call:
    """A key that may be used once is unwrapped for each use."""
    setting = Setting.in_files(folder, {ALPHA: kind.new_place()})
    heard: list[KeyAlarm] = []
    ring = await stack.enter_async_context(
        KeyRing.open(setting.key_ring(hold_seconds=60, hold_uses=1), "bench", heard.append)
    )
    memory, scope = ring.store(Store.MEMORY), scope_of(ALPHA)
    sealed = await memory.seal(scope, "note", "n", b"x")
    return lambda: memory.open(scope, "note", "n", sealed)
