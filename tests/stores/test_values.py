"""The contract of a backend of values, for each of them, always with two tenants."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from tests.stores.houses import ALPHA, BETA
from tests.stores.valkeys import VALKEYS, valkey_backend

from partywall.errors import InvalidTenantId, StoreUnavailable
from partywall.stores.backends.memory_values import MemoryBounds, MemoryValues
from partywall.stores.backends.values import LARGEST_AMOUNT, LONGEST_VALUE_BYTES, ValueBackend, ValuePartition
from partywall.tenancy import TenantId

VALUE_BACKENDS: dict[str, Callable[[], ValueBackend]] = {
    "memory": MemoryValues,
    **{kind: partial(valkey_backend, kind) for kind in VALKEYS},
}
"""How to make a clean one of each kind."""
each_backend = pytest.mark.parametrize("kind", VALUE_BACKENDS)
HOUR = 3600.0


def on_each(kind: str, body: Callable[[ValueBackend], Awaitable[None]]) -> None:
    async def main() -> None:
        backend = VALUE_BACKENDS[kind]()
        try:
            await body(backend)
        finally:
            await backend.aclose()

    asyncio.run(main())


@each_backend
def test_a_value_is_found_in_its_own_partition_only(kind: str) -> None:
    async def body(backend: ValueBackend) -> None:
        alphas, betas = backend.partition(ALPHA, "cache"), backend.partition(BETA, "cache")
        others = backend.partition(ALPHA, "sessions")
        await alphas.put(b"k", b"of alpha", ttl_seconds=HOUR, group=b"g")
        assert await alphas.get(b"k") == b"of alpha"
        assert await alphas.add(b"k", 5, ttl_seconds=HOUR) == 5
        for empty in (betas, others):
            assert await empty.get(b"k") is None
            assert await empty.members(b"g", limit=10) == []
            await empty.delete(b"k")
            assert await empty.delete_all() == 0
            assert await empty.add(b"k", 0, ttl_seconds=HOUR) == 0
        await betas.put(b"k", b"of beta", ttl_seconds=HOUR, group=b"g")
        assert await betas.delete_all() == 2
        assert await alphas.get(b"k") == b"of alpha"
        assert await alphas.members(b"g", limit=10) == [(b"k", b"of alpha")]
        assert await alphas.add(b"k", 1, ttl_seconds=HOUR) == 6

    on_each(kind, body)


@each_backend
def test_tenants_whose_names_begin_alike_are_two(kind: str) -> None:
    async def body(backend: ValueBackend) -> None:
        names = [TenantId(name) for name in ("beta", "beta2", "beta-2", "beta_2", "b")]
        for name in names:
            await backend.partition(name, "cache").put(b"k", name.encode(), ttl_seconds=HOUR, group=b"g")
        assert await backend.partition(names[0], "cache").delete_all() == 1
        for name in names[1:]:
            partition = backend.partition(name, "cache")
            assert await partition.members(b"g", limit=10) == [(b"k", name.encode())]

    on_each(kind, body)


@each_backend
def test_a_value_takes_the_place_of_another_and_goes_when_told(kind: str) -> None:
    async def body(backend: ValueBackend) -> None:
        values = backend.partition(ALPHA, "cache")
        await values.put(b"k", b"1", ttl_seconds=HOUR, group=b"g")
        await values.put(b"other", b"o", ttl_seconds=HOUR, group=b"g")
        await values.put(b"k", b"\x00\r\n\xff" * 1000, ttl_seconds=HOUR, group=b"h")
        assert await values.get(b"k") == b"\x00\r\n\xff" * 1000
        assert [key for key, _ in await values.members(b"g", limit=10)] == [b"other"]
        await values.put(b"k", b"3", ttl_seconds=HOUR)
        assert await values.members(b"h", limit=10) == []
        await values.delete(b"k")
        await values.delete(b"k")
        assert await values.get(b"k") is None
        assert await values.delete_all() == 1
        assert await values.members(b"g", limit=10) == []

    on_each(kind, body)


@each_backend
def test_members_are_those_put_last_first(kind: str) -> None:
    async def body(backend: ValueBackend) -> None:
        values = backend.partition(ALPHA, "cache")
        for number in range(6):
            await values.put(b"%d" % number, b"v%d" % number, ttl_seconds=HOUR, group=b"g")
        await values.put(b"elsewhere", b"e", ttl_seconds=HOUR, group=b"gg")
        await values.put(b"alone", b"a", ttl_seconds=HOUR)
        await values.put(b"2", b"again", ttl_seconds=HOUR, group=b"g")
        await values.get(b"0")
        found = await values.members(b"g", limit=4)
        assert list(found) == [(b"2", b"again"), (b"5", b"v5"), (b"4", b"v4"), (b"3", b"v3")]
        assert len(await values.members(b"g", limit=1000)) == 6

    on_each(kind, body)


@each_backend
def test_nothing_is_given_back_after_its_time(kind: str) -> None:
    async def body(backend: ValueBackend) -> None:
        values = backend.partition(ALPHA, "cache")
        await values.put(b"short", b"s", ttl_seconds=0.5, group=b"g")
        await values.put(b"long", b"l", ttl_seconds=HOUR, group=b"g")
        await values.add(b"short", 7, ttl_seconds=0.5)
        await asyncio.sleep(0.03)
        await values.add(b"short", 1, ttl_seconds=HOUR)  # begins no new window
        await asyncio.sleep(0.55)
        assert await values.get(b"short") is None
        assert await values.members(b"g", limit=10) == [(b"long", b"l")]
        assert await values.add(b"short", 2, ttl_seconds=HOUR) == 2

    on_each(kind, body)


@each_backend
def test_all_that_is_added_at_once_counts(kind: str) -> None:
    async def body(backend: ValueBackend) -> None:
        alphas, betas = backend.partition(ALPHA, "cache"), backend.partition(BETA, "cache")
        totals = await asyncio.gather(*(alphas.add(b"n", 3, ttl_seconds=HOUR) for _ in range(50)))
        assert sorted(totals) == [3 * number for number in range(1, 51)]
        assert await betas.add(b"n", 1, ttl_seconds=HOUR) == 1
        assert await alphas.add(b"n", -50, ttl_seconds=HOUR) == 100
        assert await alphas.get(b"n") is None  # a counter is no value

    on_each(kind, body)


@each_backend
def test_what_could_mean_more_than_itself_is_refused(kind: str) -> None:
    async def body(backend: ValueBackend) -> None:
        for tenant in ("", "*", "..", "Alpha", "alpha:cache", "alpha\n", "a" * 64):
            with pytest.raises(InvalidTenantId):
                backend.partition(TenantId(tenant), "cache")
        for store in ("", "*", "../cache", "Cache", "ca che", "c" * 33):
            with pytest.raises(ValueError, match="no store's name"):
                backend.partition(ALPHA, store)
        values = backend.partition(ALPHA, "cache")
        for name in (b"", b"k" * 65, "text"):
            await refuses(values, name)  # type: ignore[arg-type]  # what a careless caller could give
        for ttl in (0.0, -1.0, math.inf, math.nan, 1e12):
            with pytest.raises(ValueError, match="is kept for"):
                await values.put(b"k", b"v", ttl_seconds=ttl)
            with pytest.raises(ValueError, match="is kept for"):
                await values.add(b"k", 1, ttl_seconds=ttl)
        for value in (b"", b"x" * (LONGEST_VALUE_BYTES + 1)):
            with pytest.raises(ValueError, match="a value is"):
                await values.put(b"k", value, ttl_seconds=HOUR)
        for limit in (0, -1, 1001):
            with pytest.raises(ValueError, match="a page has"):
                await values.members(b"g", limit=limit)
        with pytest.raises(ValueError, match="an amount is"):
            await values.add(b"k", LARGEST_AMOUNT + 1, ttl_seconds=HOUR)
        assert await values.delete_all() == 0

    on_each(kind, body)


async def refuses(values: ValuePartition, name: bytes) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: values.get(name),
        lambda: values.put(name, b"v", ttl_seconds=HOUR),
        lambda: values.put(b"k", b"v", ttl_seconds=HOUR, group=name),
        lambda: values.members(name, limit=1),
        lambda: values.delete(name),
        lambda: values.add(name, 1, ttl_seconds=HOUR),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="an empty one"):
            await call()


# -- The embedded one ------------------------------------------------------------------------------------------------


def test_in_memory_a_tenant_makes_room_among_its_own_values_only() -> None:
    async def main() -> None:
        backend = MemoryValues(MemoryBounds(10_000))
        alphas, betas = backend.partition(ALPHA, "cache"), backend.partition(BETA, "cache")
        for number in range(5):
            await betas.put(b"%d" % number, b"b" * 1000, ttl_seconds=HOUR, group=b"g")
        for number in range(200):
            await alphas.get(b"0")
            await alphas.put(b"%d" % number, b"a" * 1000, ttl_seconds=HOUR, group=b"g")
        assert len(await betas.members(b"g", limit=100)) == 5
        kept = [key for key, _ in await alphas.members(b"g", limit=100)]
        assert kept == [b"199", b"198", b"197", b"196", b"195", b"194", b"0"]  # the one in use stays
        assert backend.size_bytes < 2 * 10_000
        await alphas.put(b"0", b"x" * 10_001, ttl_seconds=HOUR)
        assert await alphas.get(b"0") is None  # too large to be kept, and what it replaces isn't given instead
        await alphas.delete_all()
        await betas.delete_all()
        assert backend.size_bytes == 0

    asyncio.run(main())


def test_in_memory_whoever_has_most_gives_way_when_all_have_too_much() -> None:
    async def main() -> None:
        backend = MemoryValues(MemoryBounds(100_000, 20_000))
        alphas, betas = backend.partition(ALPHA, "cache"), backend.partition(BETA, "cache")
        for number in range(5):
            await betas.put(b"%d" % number, b"b" * 1000, ttl_seconds=HOUR, group=b"g")
        for number in range(100):
            await alphas.put(b"%d" % number, b"a" * 1000, ttl_seconds=HOUR)
        assert len(await betas.members(b"g", limit=100)) == 5
        assert backend.size_bytes <= 20_000

    asyncio.run(main())


def test_in_memory_a_counter_is_refused_rather_than_forgotten() -> None:
    now = [0.0]

    async def main() -> None:
        backend = MemoryValues(MemoryBounds(1000), most_counters=2, monotonic=lambda: now[0])
        alphas, betas = backend.partition(ALPHA, "cache"), backend.partition(BETA, "cache")
        await alphas.add(b"1", 1, ttl_seconds=10)
        await alphas.add(b"2", 1, ttl_seconds=20)
        with pytest.raises(StoreUnavailable):
            await alphas.add(b"3", 1, ttl_seconds=10)
        for number in range(20):
            await alphas.put(b"v%d" % number, b"v" * 100, ttl_seconds=HOUR)
        assert await alphas.add(b"1", 1, ttl_seconds=10) == 2
        assert await betas.add(b"3", 1, ttl_seconds=10) == 1
        now[0] = 11.0
        assert await alphas.add(b"3", 1, ttl_seconds=10) == 1
        assert await alphas.add(b"2", 1, ttl_seconds=10) == 2

    asyncio.run(main())
