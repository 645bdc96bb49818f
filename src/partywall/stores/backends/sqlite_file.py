"""One partition as one SQLite file: its schema and its statements. Used by one thread at a time.

Promises: a commit is whole or not at all, and has survived the death of this process when `commit` returns; with
`durable=True` a power cut too. A file that was moved, deleted or given a second name under us is refused. Statements
are constants; every value is a parameter (R7). Deleted rows are overwritten in the database; the log beside it is
emptied when the file is closed.

Doesn't promise: that overwriting reaches the medium, or that two processes never wait for each other's commits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from partywall.errors import StoreUnavailable
from partywall.owned_files import check_file
from partywall.stores.backends.base import Change, Delete, DeleteGroup, Insert, Replace, Reseal, Row, Scan

__all__ = ["SCHEMA_VERSION", "PartitionFile"]

SCHEMA_VERSION: Final = 1
_APPLICATION_ID: Final = 0x70775354  # "pwST", shown by file(1)
_CACHE_KIB: Final = 256
_LOCK_WAIT_SECONDS: Final = 5.0

# `position` is the file's own count. No unique constraint, sequence or statistic spans two tenants (R11).
_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS rows (
    position INTEGER PRIMARY KEY,
    grp BLOB NOT NULL,
    key BLOB NOT NULL,
    revision INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (grp, key)
);
CREATE INDEX IF NOT EXISTS rows_in_order ON rows (grp, position);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
_GET: Final = "SELECT grp, key, revision, sealed FROM rows WHERE grp = ? AND key = ?"
_INSERT: Final = "INSERT INTO rows (grp, key, revision, sealed) VALUES (?, ?, 1, ?)"
_REPLACE: Final = "UPDATE rows SET sealed = ?, revision = revision + 1 WHERE grp = ? AND key = ? AND revision = ?"
_DELETE: Final = "DELETE FROM rows WHERE grp = ? AND key = ?"
_DELETE_REVISION: Final = "DELETE FROM rows WHERE grp = ? AND key = ? AND revision = ?"
_DELETE_GROUP: Final = "DELETE FROM rows WHERE grp = ?"
_POSITION: Final = "SELECT position FROM rows WHERE grp = ? AND key = ?"
_FORWARDS: Final = (
    "SELECT grp, key, revision, sealed FROM rows WHERE grp = ? AND position > ? ORDER BY position LIMIT ?"
)
_BACKWARDS: Final = (
    "SELECT grp, key, revision, sealed FROM rows WHERE grp = ? AND position < ? ORDER BY position DESC LIMIT ?"
)
_RESEAL: Final = "UPDATE rows SET sealed = ? WHERE grp = ? AND key = ? AND sealed = ?"
_SCAN: Final = "SELECT position, grp, key, revision, sealed FROM rows WHERE position > ? ORDER BY position LIMIT ?"
_LAST_POSITION: Final = 2**63 - 1
_POSITION_BYTES: Final = 8


class PartitionFile:
    """A tenant's rows in one store, open. Opening waits for locks and disks; keep it off the event loop."""

    __slots__ = ("_connection", "_identity", "_path")

    def __init__(self, path: Path, *, durable: bool) -> None:
        """Open what `owned_files` has placed there.

        Raises:
            StoreUnavailable: it was written by a newer partywall, or can't be used as WAL.
            sqlite3.Error, OSError: it can't be opened.
        """
        self._path = str(path)
        self._identity = check_file(path)
        # `check_same_thread` is off because any thread of the pool may come next; never two at a time (see `lanes`).
        self._connection = sqlite3.connect(
            self._path, timeout=_LOCK_WAIT_SECONDS, isolation_level=None, check_same_thread=False
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
            raise StoreUnavailable(f"`{self._path}` was written by a newer partywall (schema {version}); not touched")
        if version and run("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            raise StoreUnavailable(f"`{self._path}` is somebody else's database; not touched")
        if run("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreUnavailable(f"`{self._path}` lies on a filesystem without the shared memory that WAL needs")
        run(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        run(f"PRAGMA cache_size = -{_CACHE_KIB}")
        run("PRAGMA secure_delete = ON")
        run("PRAGMA trusted_schema = OFF")
        if version < SCHEMA_VERSION:
            self._connection.executescript(_SCHEMA)

    def get(self, group: bytes, key: bytes) -> Row | None:
        """The row, or None."""
        self._check()
        found = self._connection.execute(_GET, (group, key)).fetchone()
        return None if found is None else Row._make(found)

    def get_many(self, places: Sequence[tuple[bytes, bytes]]) -> list[Row | None]:
        """See `Partition.get_many`. One transaction, so that nothing is seen half-changed."""
        self._check()
        run = self._connection.execute
        run("BEGIN")
        try:
            look = self._connection.cursor().execute
            found = [look(_GET, place).fetchone() for place in places]
        finally:
            run("ROLLBACK")
        return [None if row is None else Row._make(row) for row in found]

    def page(self, group: bytes, *, after: bytes | None, limit: int, backwards: bool) -> list[Row] | None:
        """See `Partition.page`. One transaction, so that the place of `after` and what follows belong together."""
        self._check()
        run = self._connection.execute
        run("BEGIN")
        try:
            position = _LAST_POSITION if backwards else 0
            if after is not None:
                found = run(_POSITION, (group, after)).fetchone()
                if found is None:
                    return None
                position = found[0]
            rows = run(_BACKWARDS if backwards else _FORWARDS, (group, position, limit)).fetchall()
            return [Row._make(row) for row in rows]
        finally:
            run("ROLLBACK")

    def commit(self, changes: Sequence[Change]) -> bool:
        """See `Partition.commit`."""
        self._check()
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            made = all(self._make(change) for change in changes)
            run("COMMIT" if made else "ROLLBACK")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise
        return made

    def _make(self, change: Change) -> bool:
        """Whether it found the place as it wants it."""
        run = self._connection.execute
        match change:
            case Insert(group, key, sealed):
                try:
                    run(_INSERT, (group, key, sealed))
                except sqlite3.IntegrityError:
                    return False
                return True
            case Replace(group, key, revision, sealed):
                return run(_REPLACE, (sealed, group, key, revision)).rowcount == 1
            case Delete(group, key, None):
                return run(_DELETE, (group, key)).rowcount == 1
            case Delete(group, key, revision):
                return run(_DELETE_REVISION, (group, key, revision)).rowcount == 1
            case DeleteGroup(group):
                run(_DELETE_GROUP, (group,))
                return True
            case Reseal(group, key, before, sealed):
                return run(_RESEAL, (sealed, group, key, before)).rowcount == 1

    def scan(self, *, after: bytes | None, limit: int) -> Scan:
        """See `Partition.scan`."""
        self._check()
        if after is not None and len(after) != _POSITION_BYTES:
            raise ValueError("a scan goes on behind what a scan gave")
        position = 0 if after is None else int.from_bytes(after)
        found = self._connection.execute(_SCAN, (min(position, _LAST_POSITION), limit)).fetchall()
        last = found[-1][0].to_bytes(_POSITION_BYTES) if len(found) == limit else None
        return Scan([Row._make(each[1:]) for each in found], last)

    def count(self) -> int:
        """See `Partition.count`."""
        self._check()
        return int(self._connection.execute("SELECT count(*) FROM rows").fetchone()[0])

    def delete_all(self) -> int:
        """See `Partition.delete_all`. The log is emptied as well, as far as nobody else is reading."""
        self._check()
        deleted = self._connection.execute("DELETE FROM rows").rowcount
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return deleted

    def _check(self) -> None:
        if check_file(self._path) != self._identity:
            raise OSError(f"`{self._path}` was replaced while it was open")

    def close(self) -> None:
        """Close. The last one to close a file checkpoints it, so this waits for the disk."""
        self._connection.close()
