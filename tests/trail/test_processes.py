"""Other processes: one that is killed, some that write to the same files, and one that was forked."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.trail.records import ALPHA, BETA, ROOT, file_of, new_record, open_trail, run_sql, stored

CHILD = """
import asyncio, sys
from pathlib import Path
import uvloop
from tests.trail.records import ALPHA, BETA, end, new_record, open_trail

async def caller(trail, tenant, turns):
    for _ in range(turns):
        record = new_record(tenant)
        await trail.admit(record)
        print(tenant, record.id, flush=True)
        trail.complete(end(record))

async def main(data_dir, turns):
    async with open_trail(data_dir) as trail, asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(caller(trail, (ALPHA, BETA)[number % 2], turns))

uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def start(data_dir: Path, turns: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(data_dir), str(turns)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_every_acknowledged_record_survives_a_kill(tmp_path: Path) -> None:
    for _ in range(3):
        child = start(tmp_path, 1_000_000)
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().split() for _ in range(400)]
        child.send_signal(signal.SIGKILL)
        # What was printed before the kill counts as well; the last line may be cut short.
        acknowledged += [line.split() for line in child.stdout.read().splitlines() if len(line.split()) == 2]
        child.wait()
        child.stdout.close()
        for tenant in (ALPHA, BETA):
            ids = {id_ for whose, id_ in acknowledged if whose == tenant and len(id_) == 36}
            assert len(ids) > 100
            assert ids <= {record.id for record in stored(tmp_path, tenant)}
        assert run_sql(file_of(tmp_path, ALPHA), "PRAGMA integrity_check") == [("ok",)]

    async def main() -> None:
        async with open_trail(tmp_path) as trail:
            record = new_record(ALPHA)
            await trail.admit(record)
            assert record in stored(tmp_path, ALPHA)

    asyncio.run(main())


def test_several_processes_write_to_the_same_files(tmp_path: Path) -> None:
    children = [start(tmp_path, 60) for _ in range(3)]
    printed = [child.communicate(timeout=120)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0]
    lines = [line.split() for out in printed for line in out.splitlines()]
    for tenant in (ALPHA, BETA):
        found = stored(tmp_path, tenant)
        assert {record.id for record in found} == {id_ for whose, id_ in lines if whose == tenant}
        assert len(found) == 3 * 8 * 60
        assert all(record.outcome == "completed" for record in found)


def test_two_trails_open_at_once_share_a_tenant(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_trail(tmp_path) as one, open_trail(tmp_path) as other:
            records = [new_record(ALPHA) for _ in range(200)]
            async with asyncio.TaskGroup() as group:
                for turn, record in enumerate(records):
                    group.create_task((one, other)[turn % 2].admit(record))
            assert {record.id for record in stored(tmp_path, ALPHA)} == {record.id for record in records}

    asyncio.run(main())


def test_records_of_a_child_that_leaves_early_are_whole(tmp_path: Path) -> None:
    """A process that ends without closing leaves whole rows, if not whole requests."""
    script = """
        import asyncio, json, os, sys
        from pathlib import Path
        from tests.trail.records import ALPHA, end, new_record
        from partywall.trail import Trail

        async def main():
            trail = Trail.open(Path(sys.argv[1]))
            record = new_record(ALPHA)
            await trail.admit(record)
            trail.complete(end(record))
            print(json.dumps(record.id), flush=True)
            os._exit(3)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert child.returncode == 3, child.stderr
    [record] = stored(tmp_path, ALPHA)
    assert record.id == json.loads(child.stdout)
    assert record.outcome is None
    assert os.path.lexists(file_of(tmp_path, ALPHA))
