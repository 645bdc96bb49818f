"""The cache's walls and names, always with two tenants."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.stores.caching.worlds import CIRCUMSTANCES, QUESTION, RULE, kept
from tests.stores.fallen import ALL_BUT_ALL, EVERYTHING, without
from tests.stores.houses import House, house_in, scope_of

from partywall.keys import Store
from partywall.stores import Wall
from partywall.stores.backends.memory_values import MemoryValues
from partywall.stores.backends.values import ValueBackend, ValuePartition
from partywall.stores.caching import CacheRule, Circumstances, Question, ResponseCache, ValuePlacement
from partywall.stores.caching.question import Names, names_of
from partywall.stores.documents.wordllama import WordLlamaEmbedder
from partywall.stores.walls import Cryptography
from partywall.tenancy import TenantId, TenantScope

A, B = scope_of("alpha"), scope_of("beta")
SEMANTIC = RULE._replace(semantic=True)
CACHE = Store.CACHE
SECRET = "alpha's secret"


async def _asked(
    cache: ResponseCache, scope: TenantScope, rule: CacheRule, question: Question = QUESTION
) -> str | None:
    found = await cache.find(scope, await cache.place(scope, question, rule), rule)
    return None if found is None else found.text


async def _keeps(cache: ResponseCache, scope: TenantScope, rule: CacheRule, text: str) -> None:
    await cache.keep(scope, await cache.place(scope, QUESTION, rule), rule, kept(text))


def test_an_answer_is_found_by_its_own_tenant_until_it_is_over(tmp_path: Path) -> None:
    async def main() -> None:
        async with house_in(tmp_path, "memory") as house:
            cache = house.stores.cache
            await _keeps(cache, A, RULE, SECRET)
            assert await _asked(cache, A, RULE) == SECRET
            assert await _asked(cache, B, RULE) is None
            await _keeps(cache, B, RULE, "of beta")
            assert await _asked(cache, A, RULE) == SECRET
            house.now += 100
            place = await cache.place(A, QUESTION, RULE)
            assert await cache.find(A, place, RULE, oldest_seconds=99) is None
            assert await cache.find(A, place, RULE._replace(ttl_seconds=99)) is None
            found = await cache.find(A, place, RULE, oldest_seconds=100)
            assert found is not None
            assert found.age_seconds == 100
            # The engine would still give it; what is inside says that it is over.
            house.now += 3500
            assert await cache.find(A, place, RULE, oldest_seconds=math.inf) is None
            house.now -= 3601  # a clock that was set back: an answer of the future is none
            assert await _asked(cache, A, RULE) is None
            assert (await house.stores.erase(A))["cache"] == 1
            house.now += 1
            assert await _asked(cache, A, RULE) is None
            assert await _asked(cache, B, RULE) == "of beta"

    asyncio.run(main())


def test_who_is_no_scope_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with house_in(tmp_path, "memory") as house:
            for nobody in (None, "alpha", TenantId("alpha"), object()):
                with pytest.raises(TypeError):
                    await house.stores.cache.place(nobody, QUESTION, RULE)  # type: ignore[arg-type]  # a careless caller
                with pytest.raises(TypeError):
                    await house.stores.cache.erase(nobody)  # type: ignore[arg-type]  # likewise

    asyncio.run(main())


# -- Names -------------------------------------------------------------------------------------------------------------


def _others() -> list[tuple[str, Question]]:
    """The question with each of its fields changed, and said otherwise where it can be absent."""
    changed: list[tuple[str, str | None]] = []
    for field in Circumstances._fields:
        value = getattr(CIRCUMSTANCES, field)
        changed += [(field, another) for another in (value + "x", "", "absent")]
    changed += [(field, None) for field in ("group", "role", "route", "user")]
    fields = CIRCUMSTANCES._asdict()
    return [(field, QUESTION._replace(circumstances=Circumstances(**fields | {field: to}))) for field, to in changed]


def _collisions(names: dict[str, Names]) -> list[str]:
    """Which have the partition of another."""
    by_group: dict[bytes, list[str]] = {}
    for what, each in names.items():
        by_group.setdefault(each.group, []).append(what)
    return sorted(what for same in by_group.values() if len(same) > 1 for what in same)


async def _all_names(house: House) -> dict[str, Names]:
    keys = house.stores.cache._cryptography
    names = {"itself": await names_of(keys, A, QUESTION, "model/1")}
    for number, (field, question) in enumerate(_others()):
        names[f"{field}/{number}"] = await names_of(keys, A, question, "model/1")
    moved = CIRCUMSTANCES._replace(query="{}[]", headers="")  # the same text across a field's end
    names["moved"] = await names_of(keys, A, QUESTION._replace(circumstances=moved), "model/1")
    names["history"] = await names_of(keys, A, QUESTION._replace(rest="{}"), "model/1")
    names["embedder"] = await names_of(keys, A, QUESTION, "model/2")
    names["exact"] = await names_of(keys, A, QUESTION, None)
    names["tenant"] = await names_of(keys, B, QUESTION, "model/1")
    return names


def test_every_field_makes_another_partition(tmp_path: Path) -> None:
    async def main() -> None:
        async with house_in(tmp_path, "memory") as house:
            names = await _all_names(house)
            assert _collisions(names) == []
            assert all(len(part) == 32 for each in names.values() for part in each)  # the whole hash
            # Content decides inside: other last words, the same partition, another place in it.
            keys = house.stores.cache._cryptography
            again = await names_of(keys, A, QUESTION._replace(body="another"), "model/1")
            assert again.group == names["itself"].group
            assert again.answer != names["itself"].answer
            assert len({*again, *names["itself"]}) == 5

    asyncio.run(main())


def test_a_dropped_field_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Cryptography.name
    dropped = ""

    async def forgetful(self: Cryptography, scope: TenantScope, *parts: str) -> bytes:
        if dropped in parts:
            at = parts.index(dropped)
            parts = (*parts[:at], *parts[at + 2 :])
        return await whole(self, scope, *parts)

    async def main() -> None:
        nonlocal dropped
        async with house_in(tmp_path, "memory") as house:
            monkeypatch.setattr(Cryptography, "name", forgetful)
            for dropped in Circumstances._fields:
                collisions = _collisions(await _all_names(house))
                assert any(what.startswith(f"{dropped}/") for what in collisions), dropped

    asyncio.run(main())


# -- Walls that have fallen ------------------------------------------------------------------------------------------


class _Everybodys:
    """A partition that forgot the tenant: whatever it is asked for, the other's values come first."""

    def __init__(self, own: ValuePartition, foreign: ValuePartition, backend: MemoryValues, other: TenantId) -> None:
        self._own, self._foreign, self._backend, self._other = own, foreign, backend, other

    def _every(self) -> list[tuple[bytes, bytes]]:
        room = self._backend._rooms.get(self._other)
        return [] if room is None else [(place[1], entry.value) for place, entry in room.values.items()]

    async def get(self, key: bytes) -> bytes | None:
        foreign = await self._foreign.get(key) or next((value for _, value in self._every()), None)
        return foreign or await self._own.get(key)

    async def members(self, group: bytes, *, limit: int) -> Sequence[tuple[bytes, bytes]]:
        return [*self._every(), *await self._own.members(group, limit=limit)][:limit]

    async def put(self, key: bytes, value: bytes, *, ttl_seconds: float, group: bytes | None = None) -> None:
        await self._own.put(key, value, ttl_seconds=ttl_seconds, group=group)

    async def delete(self, key: bytes) -> None:
        await self._own.delete(key)

    async def delete_all(self) -> int:
        return await self._own.delete_all()

    async def add(self, key: bytes, amount: int, *, ttl_seconds: float) -> int:
        return await self._own.add(key, amount, ttl_seconds=ttl_seconds)


class _NoPlacement(ValuePlacement):
    def __init__(self, backend: MemoryValues) -> None:
        super().__init__(backend, "cache")
        self._memory = backend

    def partition(self, scope: TenantScope) -> ValuePartition:
        if scope.tenant == A.tenant:
            return super().partition(scope)
        return _Everybodys(super().partition(scope), super().partition(A), self._memory, A.tenant)


def _cache(house: House, fallen: tuple[str, ...], backend: MemoryValues) -> ResponseCache:
    walls = without(tuple(wall for wall in fallen if wall != "placement"))(house, CACHE)
    placement = _NoPlacement(backend) if "placement" in fallen else ValuePlacement(_typed(backend), "cache")
    return ResponseCache(placement, walls.cryptography, walls.verification, walls.on_alarm, house.clock)


def _typed(backend: MemoryValues) -> ValueBackend:
    return backend


async def _crossing(house: House, fallen: tuple[str, ...], rule: CacheRule) -> str | None:
    cache = _cache(house, fallen, MemoryValues())
    embedder = WordLlamaEmbedder()
    cache.embed_with(lambda _scope: embedder)
    await _keeps(cache, A, rule, SECRET)
    assert await _asked(cache, A, rule) == SECRET  # it is there to be found
    house.alarms.clear()
    alike = QUESTION._replace(body='{"messages":"what"}', words="what?")
    return await _asked(cache, B, rule, alike) or await _asked(cache, B, rule)


@pytest.mark.parametrize("rule", [RULE, SEMANTIC], ids=["exact", "semantic"])
@pytest.mark.parametrize("fallen", ALL_BUT_ALL, ids="+".join)
def test_any_two_walls_may_fall(tmp_path: Path, fallen: tuple[str, ...], rule: CacheRule) -> None:
    async def main() -> None:
        async with house_in(tmp_path, "memory") as house:
            assert await _crossing(house, fallen, rule) is None
            if "placement" in fallen:
                assert house.alarms
                assert all(alarm.tenant == B.tenant for alarm in house.alarms)
                assert {alarm.wall for alarm in house.alarms} <= {Wall.CRYPTOGRAPHY, Wall.VERIFICATION}
                assert not any(SECRET in str(alarm) for alarm in house.alarms)

    asyncio.run(main())


@pytest.mark.parametrize("fallen", EVERYTHING, ids="+".join)
def test_without_any_wall_it_crosses(tmp_path: Path, fallen: tuple[str, ...]) -> None:
    """So that the tests above can fail."""

    async def main() -> None:
        async with house_in(tmp_path, "memory") as house:
            assert await _crossing(house, fallen, RULE) == SECRET

    asyncio.run(main())


def test_an_entry_moved_within_its_tenant_is_reported(tmp_path: Path) -> None:
    async def main() -> None:
        async with house_in(tmp_path, "memory") as house:
            backend = MemoryValues()
            cache = _cache(house, (), backend)
            await _keeps(cache, A, RULE, SECRET)
            there = await cache.place(A, QUESTION._replace(body="another"), RULE)
            values = backend.partition(A.tenant, "cache")
            for sealed in (await values.get((await cache.place(A, QUESTION, RULE)).names.answer), b"x", b"y" * 200):
                assert sealed is not None
                await values.put(there.names.answer, sealed, ttl_seconds=60)
                assert await cache.find(A, there, RULE) is None
            assert [alarm.wall for alarm in house.alarms] == [Wall.CRYPTOGRAPHY] * 3

    asyncio.run(main())
