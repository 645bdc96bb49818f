from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.trail.records import ALPHA, new_record, run_sql

from partywall.trail import shelf
from partywall.trail.codec import encode_admission
from partywall.trail.database import NOT_ENDED, DecisionFile, Insertion, is_busy
from partywall.trail.placement import Placement


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Placement(tmp_path).make(ALPHA)


@pytest.fixture
def file(path: Path) -> Iterator[DecisionFile]:
    with closing(DecisionFile(path, durable=False, lock_wait_seconds=1.0)) as opened:
        yield opened


def row() -> Insertion:
    record = new_record(ALPHA)
    return record.id, ALPHA, record.time, "allow", bytearray(encode_admission(record)), NOT_ENDED


def test_writing_touches_the_log_alone_until_a_checkpoint(path: Path, file: DecisionFile) -> None:
    """Whatever touches the database itself syncs the disk, and `write` runs on the event loop."""
    before = path.stat()
    for _ in range(400):
        assert file.write([row() for _ in range(10)], []) == {}
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    file.checkpoint()
    assert path.stat().st_size > 1_000_000
    log = path.with_name("decisions.db-wal")
    size = log.stat().st_size
    file.write([row()], [])
    assert log.stat().st_size == size, "a checkpoint lets the log be written again from its beginning"


def test_writing_waits_for_no_lock(path: Path, file: DecisionFile) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
            file.write([row()], [])
        assert is_busy(caught.value)
    assert file.write([row()], []) == {}


def test_nothing_but_a_lock_counts_as_busy(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table") as caught:
        run_sql(path, "SELECT * FROM nowhere")
    assert not is_busy(caught.value)
    assert not is_busy(OSError())


def test_a_failed_batch_leaves_no_transaction_behind(file: DecisionFile) -> None:
    first = row()
    with pytest.raises(UnicodeEncodeError):
        file.write([first, ("\udcff", *first[1:])], [])
    assert file.write([first], []) == {}


@pytest.mark.parametrize(("durable", "synchronous"), [(False, 1), (True, 2)])
def test_durability_is_sqlites_own(path: Path, *, durable: bool, synchronous: int) -> None:
    with closing(DecisionFile(path, durable=durable, lock_wait_seconds=1.0)) as opened:
        assert opened._connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        assert opened._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def plan_of(path: Path, statement: str) -> str:
    with closing(sqlite3.connect(path)) as connection:
        values = ("dec_0", 0.0, None, 9, "dec_9")[: max(int(number) for number in re.findall(r"\?(\d)", statement))]
        return str(connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall())


@pytest.mark.parametrize("statement", [*shelf._OLDEST_FIRST, *shelf._NEWEST_FIRST])
def test_a_scan_reads_no_more_than_it_needs(path: Path, file: DecisionFile, statement: str) -> None:
    file.write([row() for _ in range(50)], [])
    plan = plan_of(path, statement)
    assert "SEARCH decisions USING INDEX sqlite_autoindex_decisions_1 (id" in plan
    assert "TEMP B-TREE" not in plan
