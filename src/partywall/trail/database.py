"""One tenant's file of decisions: its schema, and writing a batch in one transaction.

Promises: a batch is written whole or not at all, and has survived the death of this process when `write` returns; it
survives a power cut too when the file was opened with `durable=True` (an fsync for each batch), and may lose the last
batches to one otherwise. A file that was moved, deleted or given a second name under us is refused, not written on
unseen. Without `durable`, `write` never waits: for no lock, and for no disk beyond the page cache.

Doesn't promise: to be used by two threads at once. Whoever holds a `DecisionFile` hands it on, never shares it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from partywall.errors import TrailUnavailable
from partywall.owned_files import check_file
from partywall.tenancy import TenantId

__all__ = ["NOT_ENDED", "SCHEMA_VERSION", "Completion", "DecisionFile", "Insertion", "is_busy"]

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x70775452  # "pwTR", shown by file(1)
_CACHE_KIB: Final = 128
_CHECKPOINT_LOCK_WAIT_MS: Final = 100

# `seq` is the file's own count, so that it says nothing of any other tenant's traffic. Ids sort by time, so that their
# index serves readers too. Files begun by earlier versions have an index `decisions_time` besides, which nothing needs.
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS decisions (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    tenant TEXT,
    time REAL NOT NULL,
    verdict TEXT NOT NULL,
    admission BLOB NOT NULL,
    completion BLOB
);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
NOT_ENDED: Final = ""
"""In the place of the completion that a new row doesn't have yet."""
_INSERT: Final = (
    "INSERT INTO decisions (id, tenant, time, verdict, admission, completion) VALUES (?, ?, ?, ?, ?, NULLIF(?, ''))"
)
# Written once: a later word on how a request ended doesn't replace an earlier one.
_COMPLETE: Final = "UPDATE decisions SET verdict = ?, completion = ? WHERE id = ? AND completion IS NULL"

# Rows are plain tuples of exactly these types: for a subclass of tuple, for bytes and for None `sqlite3` takes slow
# ways (it looks for adapters), which cost as much as SQLite itself does.
Insertion = tuple[str, TenantId | None, float, str, bytearray, bytearray | str]
"""A new row: id, tenant, time, verdict, admission, and completion or `NOT_ENDED`."""
Completion = tuple[str, bytearray, str]
"""The second half of a row: verdict, completion, and the id of the row."""


class DecisionFile:
    """A tenant's decisions, open for writing. Opening may wait for locks and disks; do it off the event loop."""

    __slots__ = ("_connection", "_identity", "_path")

    def __init__(self, path: Path, *, durable: bool, lock_wait_seconds: float) -> None:
        self._path = str(path)
        self._identity = check_file(path)
        # `check_same_thread` is off because helper threads open, checkpoint and close; never two at a time (see above).
        self._connection = sqlite3.connect(
            self._path, timeout=lock_wait_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(durable=durable)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, *, durable: bool) -> None:
        run = self._connection.execute
        version = run("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise TrailUnavailable(f"`{self._path}` was written by a newer partywall (schema {version}); not touched")
        if run("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise TrailUnavailable(f"`{self._path}` lies on a filesystem without the shared memory that WAL needs")
        run(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        run(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # A checkpoint syncs the disk twice. SQLite would do that inside some unlucky commit; `checkpoint` does it.
        run("PRAGMA wal_autocheckpoint = 0")
        if version < SCHEMA_VERSION:
            self._connection.executescript(_SCHEMA)
        self._restart_log()
        run("PRAGMA busy_timeout = 0")

    def write(self, insertions: Sequence[Insertion], completions: Sequence[Completion]) -> dict[int, str]:
        """Commit them in one transaction, insertions first. A bad row takes no other with it.

        Returns the rows that can't be written whatever the state of the file (an id used before, a completion of
        nothing), by position, with the reason; nearly always empty.

        Raises:
            sqlite3.Error: nothing was written. `is_busy` tells whether another process only held the lock.
            OSError: nothing was written; the file is not the one that was opened.
        """
        if check_file(self._path) != self._identity:
            raise OSError(f"`{self._path}` was replaced while it was open")
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            refused: dict[int, str] = {}
            if not self._write_all(insertions, completions):
                self._connection.execute("ROLLBACK")
                self._connection.execute("BEGIN IMMEDIATE")
                refused = self._write_each(insertions, completions)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return refused

    def _write_all(self, insertions: Sequence[Insertion], completions: Sequence[Completion]) -> bool:
        """Whether each row found its place."""
        many = self._connection.executemany
        try:
            if insertions:
                many(_INSERT, insertions)
            return not completions or many(_COMPLETE, completions).rowcount == len(completions)
        except sqlite3.IntegrityError:
            return False

    def _write_each(self, insertions: Sequence[Insertion], completions: Sequence[Completion]) -> dict[int, str]:
        """One by one: a statement that fails takes back its own row only, and the transaction goes on."""
        refused: dict[int, str] = {}
        for position, insertion in enumerate(insertions):
            try:
                self._connection.execute(_INSERT, insertion)
            except sqlite3.IntegrityError as error:
                refused[position] = str(error)
        for position, completion in enumerate(completions, start=len(insertions)):
            if self._connection.execute(_COMPLETE, completion).rowcount != 1:
                refused[position] = "no decision of that id awaits its completion"
        return refused

    def checkpoint(self) -> None:
        """Move the log into the database, and sync. Waits for locks and the disk; not for the event loop.

        Raises:
            sqlite3.Error: the file can't be read or written.
        """
        run = self._connection.execute
        run(f"PRAGMA busy_timeout = {_CHECKPOINT_LOCK_WAIT_MS}")
        try:
            with closing(run("PRAGMA wal_checkpoint(RESTART)")) as done:
                done.fetchall()
            self._restart_log()
        finally:
            run("PRAGMA busy_timeout = 0")

    def _restart_log(self) -> None:
        """Be the first to write after a checkpoint: SQLite syncs the log's header then, and `write` mustn't wait."""
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close. The last one to close a file checkpoints it, so this waits for the disk as well."""
        self._connection.close()


def is_busy(error: BaseException) -> bool:
    """Whether another process held the lock, so that trying again soon makes sense."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL}
