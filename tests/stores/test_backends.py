"""The contract of a backend, for each of them, always with two tenants."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.stores.houses import ALPHA, BACKENDS, BETA, backend_in
from tests.stores.memory_backend import MemoryPartition

from partywall.errors import InvalidTenantId, StoreUnavailable
from partywall.stores.backends.base import (
    Backend,
    Change,
    Delete,
    DeleteGroup,
    Insert,
    Partition,
    Replace,
    Reseal,
    Row,
)
from partywall.stores.backends.sqlite import SqliteBackend
from partywall.stores.backends.sqlite_file import SCHEMA_VERSION
from partywall.tenancy import TenantId

G, H = b"group", b"grou"


async def scanned(partition: Partition, limit: int) -> list[Row]:
    """Every row, in pages."""
    rows: list[Row] = []
    after: bytes | None = None
    while True:
        found = await partition.scan(after=after, limit=limit)
        rows += found.rows
        if found.after is None:
            return rows
        assert len(found.rows) == limit
        after = found.after


def on_each(folder: Path, kind: str, body: Callable[[Backend], Awaitable[None]]) -> None:
    async def main() -> None:
        backend = backend_in(folder, kind)
        try:
            await body(backend)
        finally:
            await backend.aclose()

    asyncio.run(main())


each_backend = pytest.mark.parametrize("kind", BACKENDS)


@each_backend
def test_a_row_is_found_in_its_own_partition_only(tmp_path: Path, kind: str) -> None:
    async def body(backend: Backend) -> None:
        alphas, betas = backend.partition(ALPHA, "memory"), backend.partition(BETA, "memory")
        others = backend.partition(ALPHA, "vault")
        assert await alphas.commit([Insert(G, b"k", b"of alpha")])
        assert await alphas.get(G, b"k") == Row(G, b"k", 1, b"of alpha")
        for empty in (betas, others):
            assert await empty.get(G, b"k") is None
            assert await empty.page(G, limit=10) == []
            assert await empty.page(G, after=b"k", limit=10) is None
            assert await empty.count() == 0
            assert not await empty.commit([Replace(G, b"k", 1, b"mine now")])
            assert not await empty.commit([Delete(G, b"k")])
            assert await empty.commit([DeleteGroup(G)])
            assert await empty.delete_all() == 0
        assert await betas.commit([Insert(G, b"k", b"of beta")])
        assert await betas.delete_all() == 1
        assert await alphas.get(G, b"k") == Row(G, b"k", 1, b"of alpha")

    on_each(tmp_path, kind, body)


@each_backend
def test_many_rows_are_looked_up_as_they_were_at_one_moment(tmp_path: Path, kind: str) -> None:
    async def body(backend: Backend) -> None:
        alphas, betas = backend.partition(ALPHA, "memory"), backend.partition(BETA, "memory")
        assert await betas.get_many([(G, b"1")]) == [None]
        assert await alphas.commit([Insert(G, b"1", b"0"), Insert(H, b"1", b"0")])
        assert await betas.commit([Insert(G, b"2", b"of beta")])
        assert await alphas.get_many([(G, b"2"), (H, b"1"), (G, b"1"), (H, b"1")]) == [
            None,
            *(Row(group, b"1", 1, b"0") for group in (H, G, H)),
        ]
        for nothing in ([], [(b"", b"1")], [(G, b"")], [(G, b"1")] * 1001):
            with pytest.raises(ValueError, match=r"an empty one|looked up at once"):
                await alphas.get_many(nothing)

        async def change() -> None:
            for number in range(1, 40):
                value = str(number).encode()
                assert await alphas.commit([Replace(G, b"1", number, value), Replace(H, b"1", number, value)])

        changing = asyncio.create_task(change())
        while not changing.done():
            one, other = await alphas.get_many([(G, b"1"), (H, b"1")])
            assert one is not None
            assert other is not None
            assert one.sealed == other.sealed
        await changing

    on_each(tmp_path, kind, body)


@each_backend
def test_changes_are_made_together_or_not_at_all(tmp_path: Path, kind: str) -> None:
    async def body(backend: Backend) -> None:
        rows = backend.partition(ALPHA, "memory")
        assert await rows.commit([Insert(G, b"1", b"a"), Insert(G, b"2", b"b")])
        failing: list[Change] = [Insert(G, b"1", b"x"), Replace(G, b"1", 2, b"x"), Delete(G, b"9"), Delete(G, b"1", 7)]
        for bad in failing:
            assert not await rows.commit([Insert(G, b"3", b"c"), Replace(G, b"2", 1, b"d"), DeleteGroup(H), bad])
            assert await rows.page(G, limit=10) == [Row(G, b"1", 1, b"a"), Row(G, b"2", 1, b"b")]
        assert await rows.commit([Replace(G, b"1", 1, b"A"), Delete(G, b"2", 1), Insert(G, b"3", b"c")])
        assert await rows.page(G, limit=10) == [Row(G, b"1", 2, b"A"), Row(G, b"3", 1, b"c")]

    on_each(tmp_path, kind, body)


@each_backend
def test_a_seal_is_renewed_in_its_place_and_only_over_the_bytes_that_were_read(tmp_path: Path, kind: str) -> None:
    async def body(backend: Backend) -> None:
        rows, betas = backend.partition(ALPHA, "memory"), backend.partition(BETA, "memory")
        assert await rows.commit([Insert(G, b"1", b"a"), Insert(G, b"2", b"b")])
        assert await rows.commit([Replace(G, b"1", 1, b"A")])
        assert await rows.commit([Reseal(G, b"1", b"A", b"A anew"), Reseal(G, b"2", b"b", b"b anew")])
        assert await rows.page(G, limit=10) == [Row(G, b"1", 2, b"A anew"), Row(G, b"2", 1, b"b anew")]
        for stale in (Reseal(G, b"1", b"A", b"x"), Reseal(G, b"3", b"", b"x"), Reseal(H, b"1", b"A anew", b"x")):
            assert not await rows.commit([Reseal(G, b"2", b"b anew", b"lost"), stale])
        assert not await betas.commit([Reseal(G, b"1", b"A anew", b"mine now")])
        assert await rows.page(G, limit=10) == [Row(G, b"1", 2, b"A anew"), Row(G, b"2", 1, b"b anew")]

    on_each(tmp_path, kind, body)


@each_backend
def test_a_scan_meets_every_row_that_stays_and_nobody_elses(tmp_path: Path, kind: str) -> None:
    async def body(backend: Backend) -> None:
        rows, betas = backend.partition(ALPHA, "memory"), backend.partition(BETA, "memory")
        assert await scanned(rows, 5) == []
        await betas.commit([Insert(G, b"k", b"of beta")])
        for number in range(7):
            await rows.commit([Insert(G if number % 2 else H, b"%d" % number, b"x")])
        first = await rows.scan(limit=3)
        assert [row.key for row in first.rows] == [b"0", b"1", b"2"]
        await rows.commit([Delete(H, b"2"), Delete(G, b"5"), Replace(G, b"3", 1, b"y"), Insert(G, b"7", b"x")])
        assert first.after is not None
        second = await rows.scan(after=first.after, limit=10)
        assert [row.key for row in second.rows] == [b"3", b"4", b"6", b"7"]
        assert second.after is None
        for bad in (b"", b"x" * 9):
            with pytest.raises(ValueError, match="scan"):
                await rows.scan(after=bad, limit=3)
        with pytest.raises(ValueError, match="rows"):
            await rows.scan(limit=0)

    on_each(tmp_path, kind, body)


@each_backend
def test_a_group_is_neither_its_prefix_nor_its_extension(tmp_path: Path, kind: str) -> None:
    async def body(backend: Backend) -> None:
        rows = backend.partition(ALPHA, "memory")
        for group in (G, H, G + b"\0", b"g%", b"g_oup"):
            assert await rows.commit([Insert(group, b"k", group)])
        for group in (G, H, G + b"\0", b"g%", b"g_oup"):
            assert await rows.page(group, limit=10) == [Row(group, b"k", 1, group)]
        assert await rows.commit([DeleteGroup(H)])
        assert await rows.count() == 4

    on_each(tmp_path, kind, body)


@each_backend
@pytest.mark.parametrize("name", [b"", b"x" * 65, None, "text"])
def test_a_name_that_could_mean_more_is_refused(tmp_path: Path, kind: str, name: bytes) -> None:
    async def body(backend: Backend) -> None:
        rows = backend.partition(ALPHA, "memory")
        assert await rows.commit([Insert(G, b"k", b"x")])
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: rows.get(name, b"k"),
            lambda: rows.get(G, name),
            lambda: rows.page(name, limit=1),
            lambda: rows.commit([DeleteGroup(name)]),
            lambda: rows.commit([Delete(G, name)]),
            lambda: rows.commit([Insert(name, b"k", b"")]),
            lambda: rows.commit([]),
            lambda: rows.page(G, limit=0),
            lambda: rows.page(G, limit=-1),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=r"bytes|nothing|rows"):
                await call()
        assert await rows.count() == 1

    on_each(tmp_path, kind, body)


@pytest.mark.parametrize("name", ["", "..", "../beta", "Alpha", "alpha/", "álpha", "alpha\n"])
@each_backend
def test_what_is_no_tenant_has_no_partition(tmp_path: Path, kind: str, name: str) -> None:
    async def body(backend: Backend) -> None:
        with pytest.raises(InvalidTenantId):
            backend.partition(TenantId(name), "memory")
        with pytest.raises(ValueError, match="store"):
            backend.partition(ALPHA, "../memory")

    on_each(tmp_path, kind, body)


@pytest.mark.parametrize("seed", range(12))
def test_sqlite_agrees_with_the_model(tmp_path: Path, seed: int) -> None:
    """Any course of changes and pages, in two tenants' partitions at once."""
    dice = random.Random(seed)
    written: list[bytes] = []

    def change() -> Change:
        group, key = dice.choice([G, H]), dice.choice([b"1", b"2", b"3", b"4", b"5"])
        revision, sealed = dice.randint(1, 3), dice.randbytes(3)
        kinds: list[Change] = [
            *[Insert(group, key, sealed)] * 3,
            Replace(group, key, revision, sealed),
            Replace(group, key, 1, sealed),
            Delete(group, key, dice.choice([None, revision])),
            DeleteGroup(group),
            Reseal(group, key, dice.choice(written or [b"never"]), sealed),
        ]
        written.append(sealed)
        return dice.choice(kinds)

    async def body(backend: Backend) -> None:
        pairs: list[tuple[Partition, MemoryPartition]] = [
            (backend.partition(tenant, "memory"), MemoryPartition()) for tenant in (ALPHA, BETA)
        ]
        for _ in range(120):
            real, model = dice.choice(pairs)
            changes = [change() for _ in range(dice.randint(1, 3))]
            assert await real.commit(changes) == await model.commit(changes)
            group, backwards, limit = dice.choice([G, H]), dice.random() < 0.5, dice.randint(1, 4)
            after = dice.choice([None, b"1", b"2", b"3"])
            for partition, twin in pairs:
                expected = await twin.page(group, after=after, limit=limit, backwards=backwards)
                assert await partition.page(group, after=after, limit=limit, backwards=backwards) == expected
                assert await partition.get(group, b"1") == await twin.get(group, b"1")
                assert await partition.count() == await twin.count()
                assert await scanned(partition, limit) == await scanned(twin, limit)

    on_each(tmp_path, "sqlite", body)


# -- Files ---


def file_of(folder: Path, tenant: str = "alpha", store: str = "memory") -> Path:
    return folder / "data" / "tenants" / tenant / f"{store}.db"


def test_files_are_their_owners_alone_and_looking_makes_none(tmp_path: Path) -> None:
    async def body(backend: Backend) -> None:
        rows = backend.partition(ALPHA, "memory")
        assert await rows.get(G, b"k") is None
        assert await rows.page(G, limit=1) == []
        assert await rows.delete_all() == 0
        assert os.listdir(tmp_path) == []  # noqa: PTH208 - iterdir() may not be called here either
        await rows.commit([Insert(G, b"k", b"x")])
        for path in (tmp_path / "data").rglob("*"):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path

    before = os.umask(0)
    try:
        on_each(tmp_path, "sqlite", body)
    finally:
        os.umask(before)


def write_one(folder: Path, tenant: TenantId) -> None:
    async def body(backend: Backend) -> None:
        assert await backend.partition(tenant, "memory").commit([Insert(G, b"k", tenant.encode())])

    on_each(folder, "sqlite", body)


def refused(folder: Path, message: str) -> None:
    async def body(backend: Backend) -> None:
        rows = backend.partition(ALPHA, "memory")
        with pytest.raises(StoreUnavailable, match=message):
            await rows.get(G, b"k")
        with pytest.raises(StoreUnavailable, match=message):
            await rows.commit([Insert(G, b"n", b"x")])

    on_each(folder, "sqlite", body)


@pytest.mark.parametrize("link", ["symbolic", "hard", "folder"])
def test_a_link_to_another_tenant_is_refused(tmp_path: Path, link: str) -> None:
    write_one(tmp_path, BETA)
    alphas, betas = file_of(tmp_path), file_of(tmp_path, "beta")
    if link == "folder":
        alphas.parent.symlink_to(betas.parent)
    else:
        alphas.parent.mkdir(mode=0o700)
        (os.symlink if link == "symbolic" else os.link)(betas, alphas)
    refused(tmp_path, "two tenants|another tenant")


def test_a_file_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    write_one(tmp_path, ALPHA)
    with closing(sqlite3.connect(file_of(tmp_path))) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = file_of(tmp_path).read_bytes()
    refused(tmp_path, "newer partywall")
    assert file_of(tmp_path).read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all, " * 100, b""])
def test_what_is_no_database_is_refused_or_begun(tmp_path: Path, content: bytes) -> None:
    write_one(tmp_path, ALPHA)
    file_of(tmp_path).write_bytes(content)
    if content:
        refused(tmp_path, "not a database")
    else:
        write_one(tmp_path, ALPHA)


def test_a_file_replaced_under_us_is_refused_and_then_opened_anew(tmp_path: Path) -> None:
    async def body(backend: Backend) -> None:
        rows = backend.partition(ALPHA, "memory")
        await rows.commit([Insert(G, b"k", b"x")])
        file_of(tmp_path).rename(file_of(tmp_path).with_name("old"))
        with pytest.raises(StoreUnavailable):
            await rows.get(G, b"k")
        for leftover in file_of(tmp_path).parent.glob("memory.db-*"):
            leftover.unlink()
        assert await rows.get(G, b"k") is None
        assert await rows.commit([Insert(G, b"k", b"y")])

    on_each(tmp_path, "sqlite", body)


def test_a_broken_file_is_its_tenants_trouble_alone(tmp_path: Path) -> None:
    write_one(tmp_path, ALPHA)
    write_one(tmp_path, BETA)
    file_of(tmp_path).write_bytes(b"broken" * 1000)

    async def body(backend: Backend) -> None:
        with pytest.raises(StoreUnavailable):
            await backend.partition(ALPHA, "memory").get(G, b"k")
        assert await backend.partition(BETA, "memory").get(G, b"k") == Row(G, b"k", 1, b"beta")

    on_each(tmp_path, "sqlite", body)


def test_deleted_bytes_leave_the_files(tmp_path: Path) -> None:
    """C48. The log is emptied when everything is deleted, and the database overwrites what it frees."""
    needle = os.urandom(2000)

    async def body(backend: Backend) -> None:
        rows = backend.partition(ALPHA, "memory")
        await rows.commit([Insert(G, b"k", needle), Insert(G, b"l", b"stays")])
        assert any(needle[:64] in path.read_bytes() for path in file_of(tmp_path).parent.iterdir())
        await rows.delete_all()
        assert not any(needle[:64] in path.read_bytes() for path in file_of(tmp_path).parent.iterdir())

    on_each(tmp_path, "sqlite", body)


def open_descriptors(folder: Path) -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith(str(folder))
        except OSError:
            continue  # the descriptor by which this folder is listed
    return found


def test_three_hundred_tenants_share_a_bounded_number_of_files(tmp_path: Path) -> None:
    most = 16

    async def main() -> None:
        backend = SqliteBackend(tmp_path / "data", durable=False, max_open_files=most)
        tenants = [TenantId(f"t{number}") for number in range(300)]
        files: list[int] = []
        descriptors: list[int] = []

        async def use(tenant: TenantId) -> None:
            rows = backend.partition(tenant, "memory")
            assert await rows.commit([Insert(G, b"k", tenant.encode())])
            files.append(backend.open_files)
            assert await rows.get(G, b"k") == Row(G, b"k", 1, tenant.encode())

        await asyncio.gather(*map(use, tenants))
        for tenant in random.Random(1).sample(tenants, 100):
            assert await backend.partition(tenant, "memory").get(G, b"k") == Row(G, b"k", 1, tenant.encode())
            # One at a time: a listing sees both the closed and the opened when threads are at work while it is taken.
            descriptors.append(open_descriptors(tmp_path))
        assert max(files) <= most
        assert max(descriptors) <= 3 * most
        assert len(backend._lanes._lanes) <= most
        await backend.aclose()
        assert open_descriptors(tmp_path) == 0

    asyncio.run(main())


def test_after_closing_nothing_is_done(tmp_path: Path) -> None:
    async def main() -> None:
        backend = backend_in(tmp_path, "sqlite")
        rows = backend.partition(ALPHA, "memory")
        writing = [asyncio.create_task(rows.commit([Insert(G, b"%d" % n, b"x")])) for n in range(20)]
        await asyncio.sleep(0)
        await backend.aclose()
        assert await asyncio.gather(*writing) == [True] * 20
        with pytest.raises(StoreUnavailable, match="closed"):
            await rows.get(G, b"1")

    asyncio.run(main())


# -- Cancellation (R10) ---


def test_no_answer_changes_hands_when_callers_are_cancelled(tmp_path: Path) -> None:
    """Nonces: each caller asks for its own row; a third are cancelled, at any moment. Two tenants, one thread."""

    async def main() -> None:
        backend = SqliteBackend(tmp_path / "data", durable=False, threads=1, max_open_files=1)
        dice = random.Random(7)
        for tenant in (ALPHA, BETA):
            rows = backend.partition(tenant, "memory")
            assert await rows.commit([Insert(G, b"%d" % n, f"{tenant} {n}".encode()) for n in range(50)])

        async def ask(tenant: TenantId) -> bool:
            n = dice.randrange(50)
            task = asyncio.create_task(backend.partition(tenant, "memory").get(G, b"%d" % n))
            if dice.random() < 0.33:
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
                await asyncio.sleep(dice.choice([0, 0, 0.0005]))
                task.cancel()
            try:
                assert await task == Row(G, b"%d" % n, 1, f"{tenant} {n}".encode())
            except asyncio.CancelledError:
                return False
            return True

        answered = 0
        for _ in range(60):
            answered += sum(await asyncio.gather(*(ask(dice.choice([ALPHA, BETA])) for _ in range(50))))
        assert 1000 < answered < 3000
        await backend.aclose()

    asyncio.run(main())


def test_replies_matched_by_their_order_change_hands() -> None:
    """The naive version, and the same assertion: one answer queue, whose reader is whoever waits next."""

    async def main() -> list[tuple[int, int]]:
        questions: asyncio.Queue[int] = asyncio.Queue()
        answers: asyncio.Queue[int] = asyncio.Queue()

        async def engine() -> None:
            while True:
                question = await questions.get()
                await asyncio.sleep(0)
                answers.put_nowait(question)

        async def ask(n: int) -> int:
            questions.put_nowait(n)
            return await answers.get()

        serving = asyncio.create_task(engine())
        first = asyncio.create_task(ask(1))
        await asyncio.sleep(0)
        first.cancel()
        got = [(2, await ask(2)), (3, await ask(3))]
        serving.cancel()
        return got

    assert any(asked != answered for asked, answered in asyncio.run(main()))


def test_a_commit_whose_caller_left_is_whole_or_absent(tmp_path: Path) -> None:
    async def main() -> None:
        backend = SqliteBackend(tmp_path / "data", durable=False)
        rows = backend.partition(ALPHA, "memory")
        dice = random.Random(3)
        for n in range(150):
            group = b"g%d" % n
            task = asyncio.create_task(rows.commit([Insert(group, b"1", b"a"), Insert(group, b"2", b"b")]))
            for _ in range(dice.randrange(3)):
                await asyncio.sleep(0)
            await asyncio.sleep(dice.choice([0, 0.0002, 0.001]))
            task.cancel()
            await asyncio.wait([task])
            found = await rows.page(group, limit=10)
            assert found is not None
            assert len(found) in {0, 2}
            if not task.cancelled():
                assert len(found) == 2
        await backend.aclose()

    asyncio.run(main())
