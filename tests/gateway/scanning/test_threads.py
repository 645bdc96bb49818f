"""Two tenants on the threads for long texts: neither holds up the other, nor the event loop, nor the end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.stores.houses import scope_of

from partywall.gateway.scanning.threads import AT_ONCE_BYTES, ScanThreads

ALPHA, BETA = scope_of("alpha"), scope_of("beta")
LONG = AT_ONCE_BYTES + 1


class Work:
    """A scan that goes on until it is let go."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> str:
        self.has_begun.set()
        assert self.may_end.wait(20)
        return threading.current_thread().name

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.has_begun.wait, 10)


@asynccontextmanager
async def opened(*works: Work) -> AsyncIterator[ScanThreads]:
    threads = ScanThreads()
    try:
        yield threads
    finally:
        for work in works:
            work.may_end.set()
        threads.close()


def test_what_is_long_leaves_the_loop_and_what_is_short_does_not() -> None:
    async def run() -> None:
        async with opened() as threads:
            name = threading.current_thread().name
            assert await threads.run(ALPHA, AT_ONCE_BYTES, lambda: threading.current_thread().name) == name
            there = await threads.run(ALPHA, LONG, lambda: threading.current_thread().name)
            assert there.startswith("partywall-scan"), "and not on the threads that everybody uses"

    asyncio.run(run())


def test_another_tenant_s_scan_does_not_wait() -> None:
    async def run() -> None:
        works = [Work() for _ in range(8)]
        async with opened(*works) as threads:
            asked = [asyncio.create_task(threads.run(ALPHA, LONG, work)) for work in works]
            await works[0].begun()
            assert await asyncio.wait_for(threads.run(BETA, LONG, lambda: "beta's"), 10) == "beta's"
            assert [work.has_begun.is_set() for work in works] == [True] + [False] * 7
            for work in works:
                work.may_end.set()
            await asyncio.gather(*asked)

    asyncio.run(run())


def test_a_tenant_has_one_scan_under_way_whoever_hangs_up() -> None:
    async def run() -> None:
        first, waits, second = Work(), Work(), Work()
        async with opened(first, waits, second) as threads:
            asked = [asyncio.create_task(threads.run(ALPHA, LONG, work)) for work in (first, waits, second)]
            await first.begun()
            for task in asked[:2]:
                task.cancel()
            for task in asked[:2]:
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(task, 10)
            await asyncio.sleep(0.05)
            assert not second.has_begun.is_set(), "the first goes on, though nobody waits for it"
            first.may_end.set()
            await second.begun()
            second.may_end.set()
            await asyncio.wait_for(asked[2], 10)
            assert not waits.has_begun.is_set()

    asyncio.run(run())


def test_a_scan_that_fails_gives_the_turn_on() -> None:
    def fail() -> None:
        raise ValueError("no scan")

    async def run() -> None:
        async with opened() as threads:
            with pytest.raises(ValueError, match="no scan"):
                await threads.run(ALPHA, LONG, fail)
            assert await asyncio.wait_for(threads.run(ALPHA, LONG, lambda: 1), 10) == 1

    asyncio.run(run())


def test_closing_waits_for_no_scan_and_begins_none() -> None:
    async def run() -> None:
        works = [Work() for _ in range(3)]
        async with opened(*works) as threads:
            asked = [asyncio.create_task(threads.run(scope_of(f"t{i}"), LONG, work)) for i, work in enumerate(works)]
            await works[0].begun()
            await works[1].begun()
            began = time.monotonic()
            threads.close()
            assert time.monotonic() - began < 5
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(asked[2], 10)
            with pytest.raises(RuntimeError):
                await threads.run(BETA, LONG, lambda: 1)
            with pytest.raises(RuntimeError):
                await asyncio.wait_for(threads.run(BETA, LONG, lambda: 1), 10)
            for work in works:
                work.may_end.set()
            await asyncio.gather(*asked[:2])

    asyncio.run(run())
