"""Records come under their tenant's newest key: as they are read, and all of them when it is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.stores.houses import ALPHA, BACKENDS, BETA, House, house_in, scope_of
from tests.stores.memory_backend import MemoryBackend, MemoryPartition
from tests.stores.uses import USES

from partywall.errors import StoreUnavailable
from partywall.keys import ResealProgress, Store, reseal_all
from partywall.keys.envelope import read_header
from partywall.stores.backends.base import Change, Row
from partywall.tenancy import TenantId, TenantScope

A, B = scope_of(ALPHA), scope_of(BETA)


async def rows_of(house: House, tenant: TenantId, store: str) -> list[Row]:
    return list((await house.backend.partition(tenant, store).scan(limit=1000)).rows)


async def versions_of(house: House, tenant: TenantId, store: str) -> set[int]:
    return {read_header(row.sealed).key_version for row in await rows_of(house, tenant, store)}


async def rotate(house: House, tenant: TenantId) -> int:
    """Rotate, and see to it that the ring in use has noticed."""
    number = await house.ring.life.rotate(tenant, who="an operator")
    assert await house.ring.store(Store.MEMORY).key_version(scope_of(tenant)) == number
    return number


@pytest.mark.parametrize("kind", BACKENDS)
def test_what_is_read_comes_under_the_newest_key_and_the_rest_stays(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with house_in(tmp_path, kind) as house:
            memory = house.stores.memory
            first = await memory.add(A, "agent", "one")
            notes = [await memory.add(A, "agent", f"note {number}") for number in range(3)]
            await memory.add(B, "agent", "of beta")
            before = await rows_of(house, ALPHA, "memory")
            assert await rotate(house, ALPHA) == 2
            assert await versions_of(house, ALPHA, "memory") == {1}

            assert await memory.get(A, "agent", first.id) == first
            after = await rows_of(house, ALPHA, "memory")
            changed = [new for old, new in zip(before, after, strict=True) if old != new]
            assert [read_header(row.sealed).key_version for row in changed] == [2]
            assert [row[:3] for row in before] == [row[:3] for row in after]  # places and revisions stay

            assert (await memory.list_notes(A, "agent", limit=2)).items == (first, notes[0])
            assert (await memory.list_notes(A, "agent")).items == (first, *notes)
            assert await versions_of(house, ALPHA, "memory") == {1, 2}  # the agent's head was not read
            assert await versions_of(house, BETA, "memory") == {1}
            assert house.alarms == []

    asyncio.run(main())


def test_a_reader_gets_its_record_though_it_can_not_be_sealed_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with house_in(tmp_path, "memory") as house:
            note = await house.stores.memory.add(A, "agent", "one")
            await rotate(house, ALPHA)

            class Full(MemoryPartition):
                async def commit(self, changes: list[Change]) -> bool:  # type: ignore[override]  # a list is enough here
                    raise StoreUnavailable("the disk is full")

            assert isinstance(house.backend, MemoryBackend)
            house.backend.partition(ALPHA, "memory").__class__ = Full
            assert await house.stores.memory.get(A, "agent", note.id) == note
            assert await versions_of(house, ALPHA, "memory") == {1}

    asyncio.run(main())


async def reseal(house: House, scope: TenantScope, folder: Path) -> list[ResealProgress]:
    done = []
    for store, (keys, records) in house.stores.resealable(scope).items():
        checkpoint = folder / f"{store}.json"
        done.append(await reseal_all(keys, records, checkpoint=checkpoint, progress=lambda _: None))
    return done


@pytest.mark.parametrize("kind", BACKENDS)
def test_every_store_comes_under_the_newest_key_and_reads_as_before(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with house_in(tmp_path, kind) as house:
            made = {name: (await use.plant(house.stores, A, "said by alpha")) for name, use in USES.items()}
            for use in USES.values():
                await use.plant(house.stores, B, "said by beta")
            seen = {name: await use.look(house.stores, A, made[name]) for name, use in USES.items()}
            await rotate(house, ALPHA)
            done = await reseal(house, A, tmp_path)
            assert sum(each.resealed for each in done) == sum(each.seen for each in done) > 20
            for store in house.stores.resealable(A):
                assert await versions_of(house, ALPHA, store) <= {2}
                assert await versions_of(house, BETA, store) <= {1}
            assert {name: await use.look(house.stores, A, made[name]) for name, use in USES.items()} == seen
            assert sum(each.resealed for each in await reseal(house, A, tmp_path)) == 0
            assert house.alarms == []

    asyncio.run(main())


def test_what_is_written_meanwhile_stays(tmp_path: Path) -> None:
    """A conversation grows while it is sealed anew: nothing is lost, and in the end all of it is under version 2."""

    async def main() -> None:
        async with house_in(tmp_path, "sqlite") as house:
            for number in range(20):
                await house.stores.conversations.append(A, "c", role="user", content=f"{number}")
            await rotate(house, ALPHA)

            async def grow() -> None:
                for number in range(20, 60):
                    await house.stores.conversations.append(A, "c", role="user", content=f"{number}")

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(grow())
                resealing = tasks.create_task(reseal(house, A, tmp_path))
            assert all(not each.broken for each in resealing.result())
            await reseal(house, A, tmp_path)
            page = await house.stores.conversations.messages(A, "c", limit=100)
            assert [message.content for message in page.items] == [str(number) for number in range(60)]
            assert await versions_of(house, ALPHA, "conversations") == {2}

    asyncio.run(main())
