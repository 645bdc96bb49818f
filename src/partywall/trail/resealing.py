"""The sealed halves in one file of decisions, page by page, and putting others in their place.

Promises: a half is replaced only while it is still the one that was read, in a transaction of its own, so that a
gateway that writes to the same file waits for a moment at most. Rows that come meanwhile are on a later page. Nothing
but the half is touched. What is not sealed is passed over: to seal it would make a planted row look genuine.

Doesn't promise: to know what it moves. Whoever has the keys opens and seals.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from partywall.errors import TrailUnavailable
from partywall.tenancy import TenantId
from partywall.trail.database import SCHEMA_VERSION
from partywall.trail.placement import Placement
from partywall.trail.sealing import ADMISSION, COMPLETION, is_sealed

__all__ = ["HalfPage", "SealedHalf", "SealedHalves", "sealed_halves"]

_LOCK_WAIT_SECONDS: Final = 5.0
_PAGE_ROWS: Final = 200

_PAGE: Final = "SELECT seq, id, admission, completion FROM decisions WHERE seq > ? ORDER BY seq LIMIT ?"
_COUNT: Final = "SELECT COUNT(*) + COUNT(completion) FROM decisions"
_REPLACE: Final = {
    ADMISSION: "UPDATE decisions SET admission = ? WHERE id = ? AND admission = ?",
    COMPLETION: "UPDATE decisions SET completion = ? WHERE id = ? AND completion = ?",
}


class SealedHalf(NamedTuple):
    """One half as it is stored."""

    record_id: str
    half: str
    sealed: bytes


class HalfPage(NamedTuple):
    """The sealed halves of some rows, and where the next ones begin."""

    halves: list[SealedHalf]
    after: int | None
    """None when there were no more rows."""


class SealedHalves:
    """The halves in one file. Get it from `sealed_halves`. Every call may wait, and raises what that says."""

    def __init__(self, connection: sqlite3.Connection | None, name: str) -> None:
        self._connection = connection
        self._name = name

    def count(self) -> int:
        """How many halves there are, sealed or not."""
        rows = self._run(_COUNT).fetchall() if self._connection is not None else [(0,)]
        return int(rows[0][0])

    def page(self, after: int) -> HalfPage:
        """The halves of the rows that were written after row `after`; 0 for the first ones."""
        if self._connection is None:
            return HalfPage([], None)
        rows = self._run(_PAGE, after, _PAGE_ROWS).fetchall()
        halves = [
            SealedHalf(record_id, half, stored)
            for _, record_id, *both in rows
            for half, stored in zip((ADMISSION, COMPLETION), both, strict=True)
            if is_sealed(stored)
        ]
        return HalfPage(halves, rows[-1][0] if len(rows) == _PAGE_ROWS else None)

    def replace(self, old: SealedHalf, sealed: bytes) -> bool:
        """Put `sealed` in the place of `old`; False, and nothing done, when something else stands there by now."""
        return self._run(_REPLACE[old.half], sealed, old.record_id, old.sealed).rowcount == 1

    def settle(self) -> None:
        """Return when what was replaced survives a power cut."""
        if self._connection is not None:
            self._run("PRAGMA synchronous = FULL")
            self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")  # a commit, and it syncs all those before it
            self._run("PRAGMA synchronous = NORMAL")

    def _run(self, statement: str, *parameters: object) -> sqlite3.Cursor:
        if self._connection is None:
            raise TrailUnavailable(f"{self._name} has no decisions")
        with _unavailable(self._name):
            return self._connection.execute(statement, parameters)


@contextmanager
def sealed_halves(data_dir: Path, tenant: TenantId | None) -> Iterator[SealedHalves]:
    """A tenant's halves, or the platform's own for None, for the length of the block. Where there is no file, none.

    Raises:
        TrailUnavailable: the file can't be used.
    """
    name = "the platform" if tenant is None else f"tenant `{tenant}`"
    path = Placement(data_dir).find(tenant)
    if path is None:
        yield SealedHalves(None, name)
        return
    with _unavailable(name):
        # Helper threads may take turns with it, never two at a time.
        uri = f"{path.as_uri()}?mode=rw"
        connection = sqlite3.connect(
            uri, uri=True, timeout=_LOCK_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
    with closing(connection):
        with _unavailable(name):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute("PRAGMA synchronous = NORMAL")
        if version > SCHEMA_VERSION:
            raise TrailUnavailable(f"`{path}` was written by a newer partywall (schema {version}); not touched")
        yield SealedHalves(connection if version == SCHEMA_VERSION else None, name)


@contextmanager
def _unavailable(name: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise TrailUnavailable(f"the decisions of {name} can't be sealed anew: {error}") from error
