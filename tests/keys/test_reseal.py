"""Sealing old records anew: all of them, none twice, none that somebody else wrote meanwhile, and on after a stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.keys.rings import ALPHA, BETA, keys_dir, ring_in, scope_of

from partywall.errors import KeyUnavailable
from partywall.keys import KeyRing, Page, ResealProgress, SealedRecord, Store, StoreKeys, reseal_all
from partywall.keys.envelope import read_header
from partywall.tenancy import TenantId, TenantScope

A, B = scope_of(ALPHA), scope_of(BETA)
Records = dict[str, bytes]


class Shelf:
    """A store of two tenants' records, in memory, which shows alpha's to the resealing; three to a page."""

    def __init__(self) -> None:
        self.records: dict[TenantId, Records] = {ALPHA: {}, BETA: {}}
        self.pages: list[str | None] = []
        self.stop_at: str | None = None

    async def fill(self, keys: StoreKeys, scope: TenantScope, count: int) -> None:
        for n in range(count):
            record = f"n{n:02}"
            self.records[scope.tenant][record] = await keys.seal(scope, "note", record, record.encode())

    async def page(self, after: str | None) -> Page:
        self.pages.append(after)
        if after is not None and after == self.stop_at:
            raise KeyboardInterrupt
        mine = sorted(self.records[ALPHA].items())
        found = [SealedRecord(name, "note", sealed) for name, sealed in mine if after is None or name > after][:3]
        return Page(found, found[-1].record_id if len(found) == 3 else None)

    async def replace(self, record: SealedRecord, sealed: bytes) -> bool:
        mine = self.records[ALPHA]
        if mine[record.record_id] != record.sealed:
            return False
        mine[record.record_id] = sealed
        return True

    def versions(self, tenant: TenantId) -> list[int]:
        return [read_header(sealed).key_version for sealed in self.records[tenant].values()]


def checkpoint(folder: Path) -> Path:
    return keys_dir(folder) / ALPHA / "reseal.memory.json"


async def run(ring: KeyRing, shelf: Shelf, folder: Path) -> tuple[ResealProgress, list[ResealProgress]]:
    seen: list[ResealProgress] = []
    path = checkpoint(folder)
    done = await reseal_all(ring.store(Store.MEMORY).of(A), shelf, checkpoint=path, progress=seen.append)
    assert not path.exists()
    return done, seen


def test_every_old_record_of_the_tenant_is_sealed_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory, shelf = ring.store(Store.MEMORY), Shelf()
            await shelf.fill(memory, A, 10)
            await shelf.fill(memory, B, 4)
            await ring.life.rotate(ALPHA, who="x")
            await ring.life.rotate(BETA, who="x")
            shelf.records[ALPHA]["n03"] = await memory.seal(A, "note", "n03", b"n03")
            done, seen = await run(ring, shelf, tmp_path)
            assert done == ResealProgress(seen=10, resealed=9, current=1)
            assert [each.seen for each in seen] == [3, 6, 9, 10]
            assert shelf.versions(ALPHA) == [2] * 10
            assert shelf.versions(BETA) == [1] * 4
            await ring.life.set_min_decryption_version(ALPHA, 2, who="x")
            for record, sealed in shelf.records[ALPHA].items():
                assert await memory.open(A, "note", record, sealed) == record.encode()

    asyncio.run(main())


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            shelf = Shelf()
            await shelf.fill(ring.store(Store.MEMORY), A, 10)
            await ring.life.rotate(ALPHA, who="x")
            shelf.stop_at = "n05"
            with pytest.raises(KeyboardInterrupt):
                await run(ring, shelf, tmp_path)
            assert checkpoint(tmp_path).stat().st_mode & 0o077 == 0
            assert shelf.versions(ALPHA).count(2) == 6
        async with ring_in(tmp_path) as ring:
            shelf.stop_at = None
            shelf.pages.clear()
            done, _ = await run(ring, shelf, tmp_path)
            assert shelf.pages == ["n05", "n08"]
            assert (done.seen, done.resealed) == (10, 10)

    # KeyboardInterrupt would end asyncio.run's own task; this one is caught inside.
    asyncio.run(main())


@pytest.mark.parametrize("other", ["rotated", "another store", "garbage", "another tenant"])
def test_a_checkpoint_of_something_else_is_no_place_to_go_on(tmp_path: Path, other: str) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            shelf = Shelf()
            await shelf.fill(ring.store(Store.MEMORY), A, 10)
            await ring.life.rotate(ALPHA, who="x")
            shelf.stop_at = "n05"
            with pytest.raises(KeyboardInterrupt):
                await run(ring, shelf, tmp_path)
            text = checkpoint(tmp_path).read_text()
            if other == "rotated":
                await ring.life.rotate(ALPHA, who="x")
            elif other == "garbage":
                checkpoint(tmp_path).write_text(text[:-20])
            else:
                was, now = ("memory", "cache") if other == "another store" else ("alpha", "beta")
                checkpoint(tmp_path).write_text(text.replace(f'"{was}"', f'"{now}"'))
            shelf.stop_at = None
            shelf.pages.clear()
            done, _ = await run(ring, shelf, tmp_path)
            assert shelf.pages[0] is None
            assert done.seen == 10
            assert set(shelf.versions(ALPHA)) == {3 if other == "rotated" else 2}

    asyncio.run(main())


def test_what_somebody_wrote_meanwhile_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory, shelf = ring.store(Store.MEMORY), Shelf()
            await shelf.fill(memory, A, 7)
            old = await memory.seal(A, "note", "n04", b"written by a slow process")
            await ring.life.rotate(ALPHA, who="x")
            replace = shelf.replace

            async def racing(record: SealedRecord, sealed: bytes) -> bool:
                if record.record_id == "n04" and record.sealed != old:
                    shelf.records[ALPHA]["n04"] = old  # still under the old version
                return await replace(record, sealed)

            shelf.replace = racing  # type: ignore[method-assign]  # somebody else writes between page and replace
            done, _ = await run(ring, shelf, tmp_path)
            assert done == ResealProgress(seen=14, resealed=7, current=6)
            assert set(shelf.versions(ALPHA)) == {2}
            assert await memory.open(A, "note", "n04", shelf.records[ALPHA]["n04"]) == b"written by a slow process"

    asyncio.run(main())


def test_records_that_never_hold_still_end_in_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            shelf = Shelf()
            await shelf.fill(ring.store(Store.MEMORY), A, 2)
            await ring.life.rotate(ALPHA, who="x")

            async def never(*_: object) -> bool:
                return False

            shelf.replace = never  # type: ignore[assignment]  # the worst that a store can be
            with pytest.raises(KeyUnavailable, match="5 passes"):
                await run(ring, shelf, tmp_path)

    asyncio.run(main())


def test_a_rotation_meanwhile_means_another_pass(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            shelf = Shelf()
            await shelf.fill(ring.store(Store.MEMORY), A, 7)
            await ring.life.rotate(ALPHA, who="x")
            page = shelf.page

            async def rotating(after: str | None) -> Page:
                if shelf.pages == [None]:
                    await ring.life.rotate(ALPHA, who="x")
                return await page(after)

            shelf.page = rotating  # type: ignore[method-assign]  # somebody rotates between two pages
            await run(ring, shelf, tmp_path)
            assert set(shelf.versions(ALPHA)) == {3}

    asyncio.run(main())


def test_what_does_not_open_is_named_and_stops_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            memory, shelf = ring.store(Store.MEMORY), Shelf()
            await shelf.fill(memory, A, 5)
            await shelf.fill(memory, B, 1)
            await ring.life.rotate(ALPHA, who="x")
            mine = shelf.records[ALPHA]
            mine["n01"] = shelf.records[BETA]["n00"]
            mine["n02"] = mine["n02"][:-1] + bytes([mine["n02"][-1] ^ 1])
            mine["n03"] = b"plain text"
            before = {name: mine[name] for name in ("n01", "n02", "n03")}
            done, _ = await run(ring, shelf, tmp_path)
            assert done == ResealProgress(seen=5, resealed=2, broken=3, broken_ids=("n01", "n02", "n03"))
            assert {name: mine[name] for name in before} == before

    asyncio.run(main())


def test_a_root_that_is_down_stops_it_and_it_goes_on_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with ring_in(tmp_path) as ring:
            shelf = Shelf()
            await shelf.fill(ring.store(Store.MEMORY), A, 4)
            await ring.life.rotate(ALPHA, who="x")
        (tmp_path / "root.key").rename(tmp_path / "away")
        (tmp_path / "root.key").write_bytes(b"")  # so that the helper doesn't make another
        (tmp_path / "root.key").chmod(0o600)
        async with ring_in(tmp_path) as ring:
            with pytest.raises(KeyUnavailable):
                await run(ring, shelf, tmp_path)
        (tmp_path / "away").rename(tmp_path / "root.key")
        async with ring_in(tmp_path) as ring:
            done, _ = await run(ring, shelf, tmp_path)
            assert done.resealed == 4

    asyncio.run(main())
