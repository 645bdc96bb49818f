"""One tenant's broken file refuses that tenant's requests, and nobody else's. The faults are real ones."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.trail.records import ALPHA, BETA, ROOT, end, file_of, new_record, open_trail, run_sql, stored

from partywall.errors import TrailUnavailable
from partywall.trail import Trail, new_decision_id
from partywall.trail.database import Completion, DecisionFile, Insertion

COOL = 0.3
"""A little more than a faulty file is left alone for."""


async def admits(trail: Trail) -> None:
    """Whoever else there is goes on as if nothing had happened, and at once."""
    began = time.monotonic()
    record = new_record(BETA)
    await trail.admit(record)
    await trail.admit(end(record))
    assert time.monotonic() - began < 5.0


def put_garbage(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True)
    path.write_bytes(b"this is no database, and was never one. " * 200)


def put_folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True)


def put_newer(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True)
    run_sql(path, "PRAGMA user_version = 2")


def put_other_schema(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True)
    run_sql(path, "CREATE TABLE decisions (seq INTEGER PRIMARY KEY, time REAL)")


@pytest.mark.parametrize("damage", [put_garbage, put_folder, put_newer, put_other_schema])
def test_a_tenant_whose_file_is_broken_is_refused_alone(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    damage(file_of(tmp_path, ALPHA))

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            records = [new_record((ALPHA, BETA)[turn % 2]) for turn in range(20)]
            outcomes = await asyncio.gather(*(trail.admit(record) for record in records), return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [TrailUnavailable, type(None)] * 10
            assert [record.admitted for record in records] == [False, True] * 10
            with pytest.raises(TrailUnavailable, match="tenant `alpha`"):
                await trail.admit(new_record(ALPHA))
            assert list(trail.faults) == [ALPHA]
            assert trail.healthy
            await admits(trail)

    asyncio.run(main())
    assert len(stored(tmp_path, BETA)) == 11


def test_a_mended_file_is_used_again(tmp_path: Path) -> None:
    put_folder(file_of(tmp_path, ALPHA))

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            with pytest.raises(TrailUnavailable):
                await trail.admit(new_record(ALPHA))
            file_of(tmp_path, ALPHA).rmdir()
            with pytest.raises(TrailUnavailable):  # left alone for a moment
                await trail.admit(new_record(ALPHA))
            await asyncio.sleep(COOL)
            record = new_record(ALPHA)
            await trail.admit(record)
            assert trail.faults == {}
            assert stored(tmp_path, ALPHA) == [record]

    asyncio.run(main())


@pytest.mark.parametrize("durability", ["normal", "full"])
def test_a_file_removed_under_us_is_not_written_on_unseen(tmp_path: Path, durability: str) -> None:
    async def main() -> None:
        async with open_trail(tmp_path, durability="full" if durability == "full" else "normal") as trail:
            running = new_record(ALPHA)
            await trail.admit(running)
            shutil.rmtree(file_of(tmp_path, ALPHA).parent)
            with pytest.raises(TrailUnavailable):
                await trail.admit(new_record(ALPHA))
            with pytest.raises(TrailUnavailable):
                await trail.admit(end(running))
            await admits(trail)
            await asyncio.sleep(COOL)
            record = new_record(ALPHA)
            await trail.admit(record)
            assert stored(tmp_path, ALPHA) == [record]

    asyncio.run(main())


def test_a_file_that_becomes_corrupt_refuses_its_tenant(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            for _ in range(50):
                await trail.admit(new_record(ALPHA))
        with file_of(tmp_path, ALPHA).open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (file_of(tmp_path, ALPHA).stat().st_size - 4096))
        async with open_trail(tmp_path) as trail:
            with pytest.raises(TrailUnavailable, match="malformed"):
                await trail.admit(new_record(ALPHA))
            await admits(trail)

    asyncio.run(main())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's write lock, as a process does that was stopped in the middle of a transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("opened_before", [True, False])
def test_a_lock_held_elsewhere_is_waited_for_and_holds_up_nobody_else(tmp_path: Path, *, opened_before: bool) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            await trail.admit(new_record(ALPHA))
        async with open_trail(tmp_path, lock_patience_seconds=60.0) as trail:
            if opened_before:
                await trail.admit(new_record(ALPHA))
            with locked(file_of(tmp_path, ALPHA)):
                waiting = asyncio.ensure_future(trail.admit(new_record(ALPHA)))
                for _ in range(20):
                    await admits(trail)
                    await asyncio.sleep(0.01)
                assert not waiting.done()
            await waiting
            assert trail.faults == {}
        assert len(stored(tmp_path, ALPHA)) == 2 + opened_before
        assert len(stored(tmp_path, BETA)) == 20

    asyncio.run(main())


def test_patience_with_a_lock_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path, lock_patience_seconds=0.3) as trail:
            running = new_record(ALPHA)
            await trail.admit(running)
            with locked(file_of(tmp_path, ALPHA)):
                began = time.monotonic()
                completion = asyncio.ensure_future(trail.admit(end(running)))
                with pytest.raises(TrailUnavailable, match="locked"):
                    await trail.admit(new_record(ALPHA))
                with pytest.raises(TrailUnavailable, match="locked"):
                    await completion
                assert running.admitted
                assert 0.25 < time.monotonic() - began < 5.0
                await admits(trail)
            await asyncio.sleep(COOL)
            await trail.admit(new_record(ALPHA))

    asyncio.run(main())


def test_one_bad_record_takes_no_other_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            first = new_record(ALPHA)
            await trail.admit(first)
            copy, timeless, good = new_record(ALPHA), new_record(ALPHA, at=float("nan")), new_record(ALPHA)
            copy.id = first.id
            outcomes = await asyncio.gather(
                *(trail.admit(record) for record in (copy, timeless, good)), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [TrailUnavailable, TrailUnavailable, type(None)]
            assert trail.faults == {}
            assert stored(tmp_path, ALPHA) == [first, good]

    asyncio.run(main())


def test_what_nobody_foresaw_is_a_refusal_and_not_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            await trail.admit(new_record(ALPHA))
            with monkeypatch.context() as patched:
                patched.setattr(DecisionFile, "write", fail)
                with pytest.raises(TrailUnavailable, match="a bug"):
                    await asyncio.wait_for(trail.admit(new_record(ALPHA)), 5)
                with pytest.raises(TrailUnavailable, match="a bug"):
                    await asyncio.wait_for(trail.admit(new_record(None)), 5)
                assert not trail.healthy
            await asyncio.sleep(COOL)
            await trail.admit(new_record(ALPHA))
            await trail.admit(new_record(None))
            assert trail.healthy

    asyncio.run(main())


def test_a_data_directory_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def main() -> None:
        for data_dir in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(TrailUnavailable):
                Trail.open(data_dir)
        put_garbage(file_of(tmp_path / "data", None))
        with pytest.raises(TrailUnavailable, match="can't open the trail"):
            Trail.open(tmp_path / "data")

    asyncio.run(main())


FULL_DISK = """
import asyncio, json, resource, sys
from pathlib import Path
from partywall.errors import TrailUnavailable
from tests.trail.records import ALPHA, BETA, end, new_record, open_trail

async def main(data_dir):
    acknowledged, refused, betas = [], 0, 0
    async with open_trail(data_dir) as trail:
        await trail.admit(new_record(BETA))
        # From here on no file of this process may grow past 600 kB; that is how a full disk answers, with an error.
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
        for turn in range(400):
            record = new_record(ALPHA)
            try:
                await trail.admit(record)
                acknowledged.append(record.id)
            except TrailUnavailable:
                refused += 1
            if turn % 20 == 0:
                await trail.admit(new_record(BETA))
                betas += 1
        faults, healthy = list(trail.faults), trail.healthy
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await asyncio.sleep(0.3)
        later = new_record(ALPHA)
        await trail.admit(later)
        acknowledged.append(later.id)
    print(json.dumps([acknowledged, refused, betas, faults, healthy]))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_full_disk_refuses_and_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    acknowledged, refused, betas, faults, healthy = json.loads(child.stdout)
    assert len(acknowledged) > 10
    assert refused > 10
    assert (betas, faults, healthy) == (20, ["alpha"], True)
    assert {record.id for record in stored(tmp_path, ALPHA)} == set(acknowledged)
    assert len(stored(tmp_path, BETA)) == betas + 1


def test_a_completion_that_comes_while_a_file_cools_is_written_afterwards(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            running = new_record(ALPHA)
            await trail.admit(running)
            path = file_of(tmp_path, ALPHA)
            aside = path.with_name("aside")
            path.rename(aside)
            with pytest.raises(TrailUnavailable):
                await trail.admit(new_record(ALPHA))
            completion = asyncio.ensure_future(trail.admit(end(running)))
            await asyncio.sleep(0.1)
            aside.rename(path)
            await completion
            assert stored(tmp_path, ALPHA) == [running]

    asyncio.run(main())


def test_a_flush_waits_for_what_a_busy_lock_puts_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = DecisionFile.write
    attempts: list[int] = []
    begun = threading.Event()

    def busy_once(self: DecisionFile, insertions: list[Insertion], completions: list[Completion]) -> dict[int, str]:
        attempts.append(len(insertions))
        if len(attempts) > 1:
            return original(self, insertions, completions)
        begun.set()
        time.sleep(0.2)
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    async def main() -> None:
        async with open_trail(tmp_path, durability="full") as trail:
            await trail.admit(new_record(ALPHA))
            monkeypatch.setattr(DecisionFile, "write", busy_once)
            first = asyncio.ensure_future(trail.admit(new_record(ALPHA)))
            assert await asyncio.to_thread(begun.wait, 10)
            # A helper thread is at work on the first; this one waits in a batch of its own.
            trail.complete(end(new_record(ALPHA)))
            await asyncio.wait_for(trail.flush(), 10)
            assert len(stored(tmp_path, ALPHA)) == 3
            await first

    asyncio.run(main())
    assert attempts == [1, 2]


def test_what_ended_unadmitted_while_a_file_cools_is_written_afterwards(tmp_path: Path) -> None:
    put_folder(file_of(tmp_path, ALPHA))

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            with pytest.raises(TrailUnavailable):
                await trail.admit(new_record(ALPHA))
            gone = end(new_record(ALPHA), "client_gone")
            trail.complete(gone)
            file_of(tmp_path, ALPHA).rmdir()
            await trail.flush()
            assert stored(tmp_path, ALPHA) == [gone]

    asyncio.run(main())


def test_an_unknown_id_is_refused_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            known, unknown = new_record(ALPHA), new_record(ALPHA)
            await trail.admit(known)
            unknown.admitted_policies = ()
            unknown.id = new_decision_id()
            lost, kept = (asyncio.ensure_future(trail.admit(end(record))) for record in (unknown, known))
            await kept
            with pytest.raises(TrailUnavailable, match="awaits its completion"):
                await lost

    asyncio.run(main())
