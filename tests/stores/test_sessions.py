"""Sessions and counters on a Valkey that several gateways share; always two tenants, and the walls that may fall."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.keys.rings import ring_in
from tests.stores.fallen import ALL_BUT_ALL, EVERYTHING, without
from tests.stores.houses import ALPHA, BETA, House, scope_of
from tests.stores.memory_backend import MemoryBackend
from tests.stores.uses import observed, renamed
from tests.stores.valkeys import VALKEYS, fresh_valkey, settings_of
from tests.support.engines.proxy import Manner, Proxy
from tests.support.engines.valkey import valkey_server

from partywall.errors import BadRequest, Missing, StoreUnavailable
from partywall.keys import Store
from partywall.stores import Stores
from partywall.stores.backends.memory_values import MemoryValuePartition, MemoryValues
from partywall.stores.backends.valkey.backend import ValkeyBackend
from partywall.stores.backends.valkey.partition import ValkeyPartition
from partywall.stores.backends.values import ValueBackend, ValuePartition
from partywall.stores.walls import ValuePlacement
from partywall.tenancy import TenantScope

A, B = scope_of(ALPHA), scope_of(BETA)
each_placement = pytest.mark.parametrize("kind", VALKEYS)


@asynccontextmanager
async def houses(
    folder: Path, values_of: list[ValueBackend], fallen: tuple[str, ...] = ()
) -> AsyncIterator[list[House]]:
    """Gateways that share keys and an engine, each with a backend of its own."""
    async with ring_in(folder) as ring:
        made = []
        for values in values_of:
            house = House(MemoryBackend(), ring)
            house.stores = Stores(
                lambda store, house=house: without(fallen)(house, store),  # type: ignore[misc] # mypy infers no default
                house.clock,
                values=values,
                shared=True,
                values_of=lambda backend, store, house=house: (
                    _Fallen(house, backend, store)  # type: ignore[misc] # same
                    if "placement" in fallen
                    else ValuePlacement(backend, store)
                ),
            )
            made.append(house)
        try:
            yield made
        finally:
            for values in values_of:
                await values.aclose()


class _Fallen(ValuePlacement):
    """It writes in the right place; and looks in the other tenant's first, once what was planted lies there."""

    def __init__(self, house: House, backend: ValueBackend, store: str) -> None:
        super().__init__(backend, store)
        self._house = house

    def partition(self, scope: TenantScope) -> ValuePartition:
        own = super().partition(scope)
        if not self._house.looking:
            return own
        return _Mixed(own, super().partition(B if scope.tenant == ALPHA else A))  # type: ignore[return-value] # reads alone


class _Mixed:
    def __init__(self, own: ValuePartition, foreign: ValuePartition) -> None:
        self._own, self._foreign = own, foreign

    async def get(self, key: bytes) -> bytes | None:
        # As with predicates that were all dropped: somebody else's first, whatever was asked for.
        return await self._foreign.get(key) or await _any_value(self._foreign) or await self._own.get(key)

    async def add(self, key: bytes, amount: int, *, ttl_seconds: float) -> int:
        return await self._foreign.add(key, amount, ttl_seconds=ttl_seconds)


async def _any_value(partition: ValuePartition) -> bytes | None:
    """The engine could find one; the interface can't."""
    if isinstance(partition, MemoryValuePartition):
        room = partition._backend._rooms.get(partition._tenant)
        return None if room is None else next((each.value for each in room.values.values()), None)
    assert isinstance(partition, ValkeyPartition)
    (names,) = await partition._ask(("ZRANGE", partition._at(b"i"), 0, 0))
    assert isinstance(names, list)
    return await partition.get(names[0][1:]) if names else None


def two_gateways(kind: str) -> list[ValueBackend]:
    settings = settings_of(fresh_valkey(kind))
    return [ValkeyBackend(settings), ValkeyBackend(settings)]


@each_placement
def test_what_ends_through_one_gateway_has_ended_in_the_other(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with houses(tmp_path, two_gateways(kind)) as (one, two):
            ours, theirs = one.stores.sessions, two.stores.sessions
            first, second = [await ours.start(A, ttl_seconds=60) for _ in range(2)]
            betas = await theirs.start(B, ttl_seconds=60)
            assert await theirs.verify(A, first.id) == first
            await theirs.end(A, first.id)
            with pytest.raises(Missing):
                await ours.verify(A, first.id)
            assert await ours.verify(A, second.id) == second
            await ours.end_all(A)
            with pytest.raises(Missing):
                await theirs.verify(A, second.id)
            assert await ours.verify(B, betas.id) == betas
            third = await theirs.start(A)
            assert await ours.verify(A, third.id) == third
            with pytest.raises(Missing):
                await ours.verify(scope_of(ALPHA, "bob"), third.id)
            one.now += 61
            with pytest.raises(Missing):
                await ours.verify(B, betas.id)
            for seconds in (0.0, float("nan"), 31 * 86_400.0):
                with pytest.raises(BadRequest):
                    await ours.start(A, ttl_seconds=seconds)
            assert not one.alarms
            assert not two.alarms

    asyncio.run(main())


def test_first_sessions_at_once_are_all_good(tmp_path: Path) -> None:
    """Each begins an epoch, and one of them stands."""

    async def main() -> None:
        async with houses(tmp_path, two_gateways("valkey")) as made:
            begun = await asyncio.gather(*(house.stores.sessions.start(A) for house in made * 10))
            for session in begun:
                assert await made[0].stores.sessions.verify(A, session.id) == session

    asyncio.run(main())


def test_an_engine_that_forgot_lets_nobody_in(tmp_path: Path) -> None:
    async def main() -> None:
        async with houses(tmp_path, two_gateways("valkey-common")) as (one, _):
            sessions = one.stores.sessions
            old = await sessions.start(A)
            await sessions.end_all(A)
            client = valkey_server().owner()
            keys = [key for key in client.scan_iter(match="*:sessions:v*") if client.strlen(key)]
            assert len(keys) == 2
            for key in keys:  # as an eviction would, one or the other
                kept = client.dump(key), client.pttl(key)
                client.delete(key)
                with pytest.raises(Missing):
                    await sessions.verify(A, old.id)
                assert kept[0] is not None
                client.restore(key, kept[1], kept[0])
            client.close()

    asyncio.run(main())


@each_placement
def test_a_counter_counts_what_both_gateways_add(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with houses(tmp_path, two_gateways(kind)) as (one, two):
            ours, theirs = one.stores.counters, two.stores.counters
            await asyncio.gather(*(each.add(A, "tokens", 3, window_seconds=60) for each in (ours, theirs) * 10))
            assert await ours.read(A, "tokens", window_seconds=60) == 60
            assert await theirs.read(A, "tokens", window_seconds=3600) == 0
            assert await theirs.read(B, "tokens", window_seconds=60) == 0
            assert await theirs.add(A, "tokens", -10, window_seconds=60) == 50
            for name, amount, window in (("", 1, 60.0), ("n", 2**60, 60.0), ("n", 1, 0.0), ("n", 1, float("inf"))):
                with pytest.raises(BadRequest):
                    await ours.add(A, name, amount, window_seconds=window)
            assert await ours.erase(A) == 2
            assert await theirs.read(A, "tokens", window_seconds=60) == 0

    asyncio.run(main())


def test_nobody_goes_on_when_the_engine_is_gone(tmp_path: Path) -> None:
    server = fresh_valkey()

    async def main() -> None:
        with Proxy(server.port) as proxy:
            async with houses(tmp_path, [ValkeyBackend(settings_of(server, port=proxy.port))]) as (house,):
                stores = house.stores
                session = await stores.sessions.start(A)
                await stores.counters.add(A, "n", 1, window_seconds=60)
                calls: list[Callable[[], object]] = [
                    lambda: stores.sessions.start(A),
                    lambda: stores.sessions.verify(A, session.id),
                    lambda: stores.sessions.end_all(A),
                    lambda: stores.counters.add(A, "n", 1, window_seconds=60),
                    lambda: stores.counters.read(A, "n", window_seconds=60),
                ]
                for manner in (Manner.REFUSE, Manner.CUT):
                    proxy.behave(manner)
                    for call in calls:
                        with pytest.raises(StoreUnavailable) as caught:
                            await call()  # type: ignore[misc] # each of them is a coroutine
                        assert caught.value.status == 503
                proxy.behave(Manner.PASS)
                assert await stores.sessions.verify(A, session.id) == session

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["memory", *VALKEYS])
@pytest.mark.parametrize("fallen", ALL_BUT_ALL, ids="+".join)
def test_any_two_walls_around_a_session_may_fall(tmp_path: Path, kind: str, fallen: tuple[str, ...]) -> None:
    async def main() -> None:
        async with houses(tmp_path, [_backend(kind)], fallen) as (house,):
            assert await crossed(house) == []
            if "placement" in fallen:
                assert house.alarms

    asyncio.run(main())


@pytest.mark.parametrize("fallen", EVERYTHING, ids="+".join)
def test_the_harness_can_fail(tmp_path: Path, fallen: tuple[str, ...]) -> None:
    async def main() -> None:
        async with houses(tmp_path, [MemoryValues()], fallen) as (house,):
            assert await crossed(house)

    asyncio.run(main())


async def crossed(house: House) -> list[str]:
    """Which of alpha's sessions are good for beta, when the walls have fallen."""
    sessions = house.stores.sessions
    alphas = [await sessions.start(A) for _ in range(2)]
    await sessions.start(B)
    house.looking = True
    return [seen for each in alphas if (seen := await observed(sessions.verify(B, each.id))).startswith("Session(")]


@pytest.mark.parametrize("fallen", [("placement",), ("null key",), ("one key",)], ids="+".join)
def test_either_wall_around_a_counter_may_fall(tmp_path: Path, fallen: tuple[str, ...]) -> None:
    """There are two: its place, and its name's hash. A number carries no seal, which docs/threats.md says."""

    async def main() -> None:
        async with houses(tmp_path, [_backend("valkey-common")], fallen) as (house,):
            counters = house.stores.counters
            await counters.add(A, "tokens", 5, window_seconds=60)
            house.looking = True
            assert await counters.read(B, "tokens", window_seconds=60) == 0

    asyncio.run(main())


def test_both_walls_around_a_counter_are_needed(tmp_path: Path) -> None:
    async def main() -> None:
        async with houses(tmp_path, [MemoryValues()], ("placement", "null key")) as (house,):
            await house.stores.counters.add(A, "tokens", 5, window_seconds=60)
            house.looking = True
            assert await house.stores.counters.read(B, "tokens", window_seconds=60) == 5

    asyncio.run(main())


@each_placement
def test_a_neighbour_is_not_to_be_noticed(tmp_path: Path, kind: str) -> None:
    """Non-interference: beta's trace alone, and between everything that alpha does, is the same."""

    async def trace(folder: Path, *, neighbour: bool) -> list[str]:
        seen: list[str] = []
        async with houses(folder, [_backend(kind)]) as (house,):
            stores = house.stores

            async def alpha(turn: int) -> None:
                if neighbour:
                    begun = await stores.sessions.start(A)
                    await stores.counters.add(A, "tokens", 100, window_seconds=60)
                    await stores.counters.add(A, f"other {turn}", 1, window_seconds=60)
                    if turn % 2:
                        await stores.sessions.end_all(A)
                    else:
                        await stores.sessions.end(A, begun.id)

            ids = []
            for turn in range(4):
                await alpha(turn)
                ids.append((await stores.sessions.start(B)).id)
                await alpha(turn + 1)
                seen += [await observed(stores.sessions.verify(B, each)) for each in (*ids, "sess_" + "0" * 32)]
                seen.append(await observed(stores.counters.add(B, "tokens", 1, window_seconds=60)))
                if turn == 2:
                    seen.append(await observed(stores.sessions.end_all(B)))
            await stores.erase(A)
            seen.append(await observed(stores.counters.read(B, "tokens", window_seconds=60)))
            seen.append(str((await stores.erase(B))["sessions"]))
            assert not house.alarms
        return renamed(seen, {})

    for name in ("alone", "beside"):
        (tmp_path / name).mkdir()
    assert asyncio.run(trace(tmp_path / "alone", neighbour=False)) == asyncio.run(
        trace(tmp_path / "beside", neighbour=True)
    )


def _backend(kind: str) -> ValueBackend:
    return MemoryValues() if kind == "memory" else ValkeyBackend(settings_of(fresh_valkey(kind)))


def test_what_lies_there_is_sealed(tmp_path: Path) -> None:
    async def main() -> None:
        async with houses(tmp_path, [_backend("valkey-common")]) as (house,):
            session = await house.stores.sessions.start(A)
            await house.stores.counters.add(A, "tokens of ann", 5, window_seconds=60)
            with valkey_server().owner() as client:
                clear = b"".join(client.keys() + [client.get(key) or b"" for key in client.keys("*:sessions:v*")])
            for word in (session.id, "ann", "epoch", "tokens"):
                assert word.encode() not in clear
            assert house.ring.store(Store.SESSIONS).name == "sessions"

    asyncio.run(main())
