"""System prompts: one current, versions kept, all gone at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from tests.stores.houses import ALPHA, BETA, NOW, House, house_in, scope_of
from tests.stores.memory_backend import MemoryPartition

from partywall.errors import BadRequest, Missing, PayloadTooLarge, StoreUnavailable
from partywall.stores import SystemPrompt
from partywall.stores.backends.base import Change

A, B = scope_of(ALPHA), scope_of(BETA)


def in_house(folder: Path, body: Callable[[House], Awaitable[None]], kind: str = "memory") -> None:
    async def main() -> None:
        async with house_in(folder, kind) as house:
            await body(house)

    asyncio.run(main())


def test_the_last_one_counts_and_the_others_are_kept(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        prompts = house.stores.system_prompts
        assert await prompts.find(A) is None
        with pytest.raises(Missing):
            await prompts.get(A)
        first = await prompts.put(A, "speak Latin")
        house.now += 60
        second = await prompts.put(scope_of(ALPHA, None), "speak Greek")
        assert first == SystemPrompt(1, "speak Latin", NOW, "user:ann")
        assert second == SystemPrompt(2, "speak Greek", NOW + 60, "key:0123456789ab")
        assert await prompts.get(A) == await prompts.find(A) == second
        assert (await prompts.list_versions(A)).items == (first, second)
        assert (await prompts.list_versions(A, after=1)).items == (second,)
        assert (await prompts.list_versions(A, backwards=True, limit=1)).items == (second,)
        assert await prompts.find(B) is None
        with pytest.raises(Missing):
            await prompts.list_versions(B, after=1)

    in_house(tmp_path, body, "sqlite")


def test_the_tenants_users_share_one(tmp_path: Path) -> None:
    """Unlike preferences: it is the organisation's, not a person's."""

    async def body(house: House) -> None:
        made = await house.stores.system_prompts.put(A, "speak Latin")
        for user in ("bob", None):
            assert await house.stores.system_prompts.get(scope_of(ALPHA, user)) == made

    in_house(tmp_path, body)


def test_a_hundred_versions_are_kept(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        prompts = house.stores.system_prompts
        for number in range(1, 104):
            await prompts.put(A, f"version {number}")
        page = await prompts.list_versions(A, limit=100)
        assert ([each.version for each in page.items], page.has_more) == (list(range(4, 104)), False)
        assert await house.backend.partition(ALPHA, "prompts").count() == 101

    in_house(tmp_path, body)


def test_clearing_leaves_nothing_and_is_the_tenants_own(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        prompts = house.stores.system_prompts
        await prompts.put(A, "speak Latin")
        betas = await prompts.put(B, "speak Greek")
        await prompts.clear(A)
        await prompts.clear(A)
        assert await prompts.find(A) is None
        assert await house.backend.partition(ALPHA, "prompts").count() == 0
        assert await prompts.get(B) == betas
        assert (await prompts.put(A, "again")).version == 1

    in_house(tmp_path, body, "sqlite")


def test_changes_at_once_make_a_version_each(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        prompts = house.stores.system_prompts
        await asyncio.gather(*(prompts.put(A, f"said by {n}") for n in range(8)))
        page = await prompts.list_versions(A)
        assert [each.version for each in page.items] == list(range(1, 9))
        assert {each.text for each in page.items} == {f"said by {n}" for n in range(8)}
        assert await prompts.get(A) == page.items[-1]

    in_house(tmp_path, body, "sqlite")


def test_a_version_made_while_clearing_is_not_left_behind(tmp_path: Path) -> None:
    """R6: whoever clears takes the newer version along, or is told."""

    async def body(house: House) -> None:
        prompts = house.stores.system_prompts
        await prompts.put(A, "before")
        partition = house.backend.partition(ALPHA, "prompts")
        commit, pending = partition.commit, ["in between"]

        async def interrupted(changes: Sequence[Change]) -> bool:
            if pending:
                await prompts.put(A, pending.pop())
            return await commit(changes)

        partition.commit = interrupted  # type: ignore[method-assign]  # on this one partition
        await prompts.clear(A)
        assert pending == []
        assert await prompts.find(A) is None
        assert await partition.count() == 0

    in_house(tmp_path, body)


@pytest.mark.parametrize("turns", range(0, 40, 3))
def test_cancelled_at_any_await_it_is_made_or_not(tmp_path: Path, turns: int) -> None:
    async def body(house: House) -> None:
        prompts = house.stores.system_prompts
        await prompts.put(A, "before")
        putting = asyncio.ensure_future(prompts.put(A, "after"))
        for _ in range(turns):
            await asyncio.sleep(0)
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
        page = await prompts.list_versions(A)
        assert await prompts.get(A) == page.items[-1]
        assert [each.version for each in page.items] in ([1], [1, 2])

    in_house(tmp_path, body, "sqlite")


def test_one_that_is_dropped_at_a_wall_is_not_none(tmp_path: Path) -> None:
    """A flipped bit is an alarm, and no request goes on as if the tenant had no prompt."""

    async def body(house: House) -> None:
        prompts = house.stores.system_prompts
        await prompts.put(A, "speak Latin")
        partition = house.backend.partition(ALPHA, "prompts")
        assert isinstance(partition, MemoryPartition)
        place, row = next(iter(partition.rows.items()))
        partition.rows[place] = row._replace(sealed=row.sealed[:-1] + bytes([row.sealed[-1] ^ 1]))
        for ask in (prompts.find, prompts.get):
            with pytest.raises(StoreUnavailable):
                await ask(A)
        assert house.alarms
        await prompts.clear(A)
        assert await prompts.find(A) is None

    in_house(tmp_path, body)


@pytest.mark.parametrize("bad", ["", " \n\t", None, 7, b"x", "\ud800"], ids=repr)
def test_what_says_nothing_is_refused(tmp_path: Path, bad: str) -> None:
    async def body(house: House) -> None:
        with pytest.raises(BadRequest):
            await house.stores.system_prompts.put(A, bad)
        assert await house.stores.system_prompts.find(A) is None

    in_house(tmp_path, body)


def test_it_is_of_a_bounded_size(tmp_path: Path) -> None:
    async def body(house: House) -> None:
        with pytest.raises(PayloadTooLarge):
            await house.stores.system_prompts.put(A, "\u00e9" * 32769)
        await house.stores.system_prompts.put(A, "\u00e9" * 32768)

    in_house(tmp_path, body)
