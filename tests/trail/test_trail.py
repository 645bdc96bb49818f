"""What a returned `admit` and a queued `complete` mean, with nothing broken."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop
from tests.trail.records import ALPHA, BETA, end, file_of, new_record, open_trail, run_sql, stored

from partywall.errors import InvalidTenantId, TrailUnavailable
from partywall.tenancy import TenantId
from partywall.trail import Trail, TrailReader, Verdict
from partywall.trail.database import Completion, DecisionFile, Insertion


def logs_in(data_dir: Path) -> int:
    """How many files of decisions are open, told by their write-ahead logs."""
    return len(list(data_dir.rglob("*-wal")))


def test_an_admitted_record_can_be_read_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            records = {tenant: new_record(tenant) for tenant in (ALPHA, BETA, None)}
            for tenant, record in records.items():
                await trail.admit(record)
                assert stored(tmp_path, tenant) == [record]

    asyncio.run(main())


def test_a_completed_record_shows_how_it_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            record = new_record()
            await trail.admit(record)
            record.verdict, record.code = Verdict.BLOCK, "tool_denied"
            await trail.admit(end(record, "refused"))
            assert stored(tmp_path, ALPHA) == [record]

    asyncio.run(main())


def test_a_refusal_is_written_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            record = end(new_record(BETA), "refused")
            await trail.admit(record)
            assert stored(tmp_path, BETA) == [record]
            assert record.admitted

    asyncio.run(main())


def test_admission_and_completion_may_share_a_batch(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            record = new_record()
            admitting = asyncio.ensure_future(trail.admit(record))
            await asyncio.sleep(0)
            trail.complete(end(record))
            await admitting
            await trail.flush()
            assert stored(tmp_path, ALPHA) == [record]

    asyncio.run(main())


def test_admitting_again_completes(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            record = new_record()
            await trail.admit(record)
            await trail.admit(end(record, "upstream_failed"))
            assert stored(tmp_path, ALPHA) == [record]

    asyncio.run(main())


def test_completing_what_was_never_admitted_writes_it_whole(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            record = end(new_record(), "client_gone")
            trail.complete(record)
            await trail.flush()
            assert stored(tmp_path, ALPHA) == [record]

    asyncio.run(main())


def test_how_it_ended_is_written_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            record, neighbour = new_record(), new_record()
            await trail.admit(record)
            await trail.admit(neighbour)
            await trail.admit(end(record, "completed"))
            endings = end(record, "client_gone"), end(neighbour)
            again, other = (asyncio.ensure_future(trail.admit(ending)) for ending in endings)
            with pytest.raises(TrailUnavailable, match="awaits its completion"):
                await again
            await other
            assert [found.outcome for found in stored(tmp_path, ALPHA)] == ["completed", "completed"]
            assert not trail.faults

    asyncio.run(main())


def test_completions_are_written_without_anybody_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            record = new_record()
            await trail.admit(record)
            trail.complete(end(record))
            await trail.flush()
            assert stored(tmp_path, ALPHA) == [record]
            later = new_record()
            await trail.admit(later)
            trail.complete(end(later))
            await asyncio.sleep(0.2)
            assert stored(tmp_path, ALPHA) == [record, later]

    asyncio.run(main())


def test_closing_writes_what_waits_and_admits_nothing_more(tmp_path: Path) -> None:
    async def main() -> None:
        records = [new_record(tenant) for tenant in (ALPHA, BETA) for _ in range(20)]
        async with open_trail(tmp_path) as trail:
            for record in records:
                await trail.admit(record)
                trail.complete(end(record))
        # The last to close leaves no log behind, so that a copied database is whole.
        assert logs_in(tmp_path) == 0
        assert all(record.outcome == "completed" for t in (ALPHA, BETA) for record in stored(tmp_path, t))
        assert not trail.healthy
        with pytest.raises(TrailUnavailable, match="closed"):
            await trail.admit(new_record())
        with pytest.raises(TrailUnavailable, match="closed"):
            await trail.admit(end(records[0]))
        await trail.aclose()

    asyncio.run(main())


def test_a_lost_completion_is_logged_and_makes_no_other_noise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noises: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: noises.append(context))
        async with open_trail(tmp_path) as trail:
            record = new_record()
            await trail.admit(record)
            trail.complete(end(record))
            trail.complete(end(record))
            await trail.flush()
        trail.complete(end(new_record()))
        gc.collect()

    asyncio.run(main())
    assert noises == []
    assert "a decision of tenant `alpha` was not recorded: no decision of that id awaits" in caplog.text
    assert "is lost: the trail is closed" in caplog.text


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_sixty_four_at_once_of_two_tenants(tmp_path: Path, runner: object) -> None:
    assert callable(runner)
    admitted: dict[TenantId, list[str]] = {ALPHA: [], BETA: []}

    async def one(trail: Trail, tenant: TenantId) -> None:
        for _ in range(25):
            record = new_record(tenant)
            await trail.admit(record)
            admitted[tenant].append(record.id)
            await asyncio.sleep(0)
            trail.complete(end(record))

    async def main() -> None:
        async with open_trail(tmp_path) as trail, asyncio.TaskGroup() as group:
            for caller in range(64):
                group.create_task(one(trail, (ALPHA, BETA)[caller % 2]))

    runner(main())
    for tenant, ids in admitted.items():
        found = stored(tmp_path, tenant)
        assert len(ids) == 800
        assert sorted(record.id for record in found) == sorted(ids)
        assert all(record.outcome == "completed" for record in found)


def test_cancelling_an_admission_harms_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            await trail.admit(new_record())
            for turns in range(40):
                mine, other = new_record(), new_record()
                task = asyncio.ensure_future(trail.admit(mine))
                neighbour = asyncio.ensure_future(trail.admit(other))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                await neighbour
                trail.complete(end(mine, "client_gone"))
                await trail.flush()
            assert trail.healthy
            assert not trail.faults
            await trail.flush()
            found = stored(tmp_path, ALPHA)
            # Completed after the cancellation, each of them is there, once.
            assert sum(record.outcome == "client_gone" for record in found) == 40
            assert len({record.id for record in found}) == len(found) == 81

    asyncio.run(main())


def test_what_waits_is_bounded_for_each_tenant_and_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Nothing is flushed in the middle of the test.
    monkeypatch.setattr("partywall.trail.writer._PACE_SECONDS", 0.2)

    async def main() -> None:
        async with open_trail(tmp_path, max_waiting=12, max_waiting_per_tenant=8) as trail:
            for tenant in (ALPHA, BETA):
                await trail.admit(new_record(tenant))
            first = [asyncio.ensure_future(trail.admit(new_record(ALPHA))) for _ in range(8)]
            await asyncio.sleep(0)
            for _ in range(3):
                with pytest.raises(TrailUnavailable, match="8 of tenant `alpha`"):
                    await trail.admit(new_record(ALPHA))
            # Alpha's full line leaves room for beta.
            second = [asyncio.ensure_future(trail.admit(new_record(BETA))) for _ in range(4)]
            await asyncio.sleep(0)
            assert not trail.healthy
            with pytest.raises(TrailUnavailable, match="too many"):
                await trail.admit(new_record(BETA))
            trail.complete(end(new_record(BETA)))
            assert "is lost: too many" in caplog.text
            await asyncio.gather(*first, *second)
            assert trail.healthy
            await trail.admit(new_record(BETA))

    asyncio.run(main())


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_a_loop_that_is_never_idle_commits_together_but_not_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: object
) -> None:
    assert callable(runner)
    sizes: list[int] = []
    original = DecisionFile.write

    def counted(self: DecisionFile, insertions: list[Insertion], completions: list[Completion]) -> dict[int, str]:
        sizes.append(len(insertions))
        return original(self, insertions, completions)

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            await trail.admit(new_record())
            monkeypatch.setattr(DecisionFile, "write", counted)
            waiting: list[asyncio.Future[None]] = []
            deadline = time.monotonic() + 20
            while not (waiting and waiting[0].done()) and time.monotonic() < deadline:
                if len(waiting) < 8:
                    waiting.append(asyncio.ensure_future(trail.admit(new_record())))
                time.sleep(0.0005)  # noqa: ASYNC251 - what a busy loop is like
                await asyncio.sleep(0)
            assert waiting[0].done()
            await asyncio.gather(*waiting)

    runner(main())
    assert sizes[0] > 1
    assert sum(sizes) <= 9


def test_a_record_of_no_tenant_id_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            with pytest.raises(InvalidTenantId):
                await trail.admit(new_record(TenantId("../beta")))
            await trail.flush()

    asyncio.run(main())


def test_a_trail_opens_on_a_loop_only(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        Trail.open(tmp_path)


def test_full_durability_commits_off_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = watch_threads(monkeypatch, "write")

    async def main() -> None:
        async with open_trail(tmp_path, durability="full") as trail:
            records = [new_record(tenant) for tenant in (ALPHA, BETA) for _ in range(30)]
            await asyncio.gather(*(trail.admit(record) for record in records))
            await trail.flush()
            for record in records:
                trail.complete(end(record))
        for tenant in (ALPHA, BETA):
            assert sum(record.outcome == "completed" for record in stored(tmp_path, tenant)) == 30

    asyncio.run(main())
    assert threading.main_thread().name not in threads


def test_what_syncs_the_disk_runs_in_a_helper_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = watch_threads(monkeypatch, "checkpoint")
    closings = watch_threads(monkeypatch, "close")
    writes = watch_threads(monkeypatch, "write")

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            for _ in range(30):
                await asyncio.gather(*(trail.admit(new_record()) for _ in range(400)))
            log = file_of(tmp_path, ALPHA).with_name("decisions.db-wal")
            assert log.stat().st_size < 12_000_000

    asyncio.run(main())
    assert writes == {threading.main_thread().name}
    assert checkpoints
    assert closings
    assert all(name.startswith("partywall-trail") for name in checkpoints | closings)
    assert len(stored(tmp_path, ALPHA)) == 12_000


def watch_threads(monkeypatch: pytest.MonkeyPatch, method: str) -> set[str]:
    """Which threads call a method of `DecisionFile`, from here on."""
    seen: set[str] = set()
    original = getattr(DecisionFile, method)

    def watched(*args: object) -> object:
        seen.add(threading.current_thread().name)
        return original(*args)

    monkeypatch.setattr(DecisionFile, method, watched)
    return seen


def test_more_tenants_than_open_files(tmp_path: Path) -> None:
    tenants = [TenantId(f"t{number:02}") for number in range(12)]

    async def main() -> None:
        async with open_trail(tmp_path, max_open_files=3) as trail:
            for _ in range(4):
                records = [new_record(tenant) for tenant in tenants]
                await asyncio.gather(*(trail.admit(record) for record in records))
                for record in records:
                    trail.complete(end(record))
            await trail.flush()
            deadline = time.monotonic() + 30
            while logs_in(tmp_path) > 4 and time.monotonic() < deadline:
                await trail.admit(new_record(tenants[0]))
                await asyncio.sleep(0.01)
            assert logs_in(tmp_path) <= 4

    asyncio.run(main())
    for tenant in tenants:
        assert sum(record.outcome == "completed" for record in stored(tmp_path, tenant)) == 4
    assert TrailReader(tmp_path).tenants() == tenants


def test_a_tenants_file_holds_no_trace_of_another(tmp_path: Path) -> None:
    """Beta's file is the same, row for row, whether or not alpha exists: numbers, order, contents."""
    betas = [new_record(BETA, at=1000.0 + turn) for turn in range(20)]

    async def main(data_dir: Path, *, with_alpha: bool) -> None:
        async with open_trail(data_dir) as trail:
            for record in betas:
                record.admitted_policies = record.outcome = None
                together = [trail.admit(new_record(ALPHA)) for _ in range(7)] if with_alpha else []
                await asyncio.gather(trail.admit(record), *together)
                await trail.admit(end(record))

    asyncio.run(main(tmp_path / "alone", with_alpha=False))
    asyncio.run(main(tmp_path / "together", with_alpha=True))
    rows = [run_sql(file_of(tmp_path / name, BETA), "SELECT * FROM decisions") for name in ("alone", "together")]
    assert rows[0] == rows[1]
    assert [row[0] for row in rows[0]] == list(range(1, 21))
    assert len(stored(tmp_path / "together", ALPHA)) == 140
