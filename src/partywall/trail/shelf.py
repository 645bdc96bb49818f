"""One file of decisions, read in short strokes, each row checked before it is handed out.

Promises: a row whose tenant, id, time or verdict isn't what its two halves say, or that names another tenant than the
file's, is dropped and reported, never returned (the verification wall). No lock that a writer waits for is held, and
none at all between two strokes.

Doesn't promise: a snapshot. A record completed while it is read shows one state or the other.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, NamedTuple

from partywall.errors import TrailUnavailable
from partywall.tenancy import TenantId
from partywall.trail.codec import decode
from partywall.trail.database import SCHEMA_VERSION
from partywall.trail.placement import Placement
from partywall.trail.record import DecisionRecord, Verdict
from partywall.trail.sealing import ADMISSION, COMPLETION, Opener, is_sealed, opened

__all__ = ["Alarm", "Query", "Row", "Shelf"]

_LOCK_WAIT_SECONDS: Final = 2.0
_ID_MARGIN_MS: Final = 1000
"""An id and the time beside it are drawn together; a clock that is set between the two may part them by less."""

_COLUMNS: Final = "SELECT seq, id, tenant, time, verdict, admission, completion FROM decisions"
_MATCH: Final = "AND time >= ?2 AND (?3 IS NULL OR verdict = ?3)"
# In the order of ids, which is that of their milliseconds; each pair is for the first page and for those after it.
_OLDEST_FIRST: Final = (
    f"{_COLUMNS} WHERE id >= ?1 {_MATCH} ORDER BY id LIMIT ?4",
    f"{_COLUMNS} WHERE id > ?5 {_MATCH} ORDER BY id LIMIT ?4",
)
_NEWEST_FIRST: Final = (
    f"{_COLUMNS} WHERE id >= ?1 {_MATCH} ORDER BY id DESC LIMIT ?4",
    f"{_COLUMNS} WHERE id >= ?1 AND id < ?5 {_MATCH} ORDER BY id DESC LIMIT ?4",
)
_AFTER: Final = f"{_COLUMNS} WHERE seq > ? ORDER BY seq LIMIT ?"
_BETWEEN: Final = f"{_COLUMNS} WHERE seq BETWEEN ? AND ? ORDER BY seq"
_LAST: Final = f"{_COLUMNS} ORDER BY seq DESC LIMIT 1"


_CLEAR: Final = "this one, and perhaps others, is not sealed: from before sealing was on, or planted"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that must not be in a tenant's file, or a file that can't be read. Holds ids, never content."""

    tenant: TenantId | None
    """Whose file; None for the platform's own."""
    seq: int | None
    """Which row; None when it is the file itself."""
    reason: str

    def __str__(self) -> str:
        whose = "the platform" if self.tenant is None else f"tenant `{self.tenant}`"
        where = "" if self.seq is None else f", row {self.seq}"
        return f"decisions of {whose}{where}: {self.reason}"


class Row(NamedTuple):
    """As stored, unchecked. The types are what the schema says; a planted row may hold others."""

    seq: int
    id: str
    tenant: str | None
    time: float
    verdict: str
    admission: bytes
    completion: bytes | None


class Query(NamedTuple):
    """What `Shelf.scan` looks for."""

    since: float | None
    verdict: Verdict | None
    newest_first: bool
    page_rows: int


class Shelf:
    """One tenant's file, or the platform's own for None."""

    __slots__ = ("_on_alarm", "_opener", "_placement", "_saw_clear", "tenant")

    def __init__(
        self,
        placement: Placement,
        tenant: TenantId | None,
        on_alarm: Callable[[Alarm], None],
        opener: Opener | None = None,
    ) -> None:
        """`opener` opens what is sealed."""
        self.tenant = tenant
        self._placement = placement
        self._on_alarm = on_alarm
        self._opener = opener
        self._saw_clear = False

    def scan(self, query: Query) -> Iterator[DecisionRecord]:
        """The records that match, in the order of their time: exactly within a page, to the millisecond between pages.

        Raises:
            TrailUnavailable: the file can't be read.
        """
        first, following = _NEWEST_FIRST if query.newest_first else _OLDEST_FIRST
        since = -math.inf if query.since is None else query.since
        verdict = None if query.verdict is None else query.verdict.value
        parameters = (_id_at(since), since, verdict, query.page_rows)
        rows = self._select(first, parameters)
        while rows:
            yield from sorted(self.checked(rows), key=_time_and_id, reverse=query.newest_first)
            if len(rows) < query.page_rows:
                return
            rows = self._select(following, (*parameters, rows[-1].id))

    def after(self, seq: int, limit: int) -> list[Row]:
        """The rows written after row `seq`, in the order of their writing. Raises as `scan` does."""
        return self._select(_AFTER, (seq, limit))

    def between(self, first: int, last: int) -> list[Row]:
        """The rows `first` to `last` as they are now. Raises as `scan` does."""
        return self._select(_BETWEEN, (first, last))

    def last_seq(self) -> int:
        """The number of the newest row; 0 when there is none. Raises as `scan` does."""
        rows = self._select(_LAST, ())
        return rows[0].seq if rows else 0

    def last_time(self) -> float | None:
        """When the newest row's decision began, as its column says; None when there is none. Raises as `scan` does."""
        rows = self._select(_LAST, ())
        return rows[0].time if rows else None

    def checked(self, rows: list[Row]) -> Iterator[DecisionRecord]:
        """The rows that belong here, as records; an alarm for each of the others."""
        for row in rows:
            try:
                yield self._verified(row)
            except ValueError as error:
                self._on_alarm(Alarm(self.tenant, row.seq, str(error)))

    def _verified(self, row: Row) -> DecisionRecord:
        if row.tenant != self.tenant:
            raise ValueError("the row belongs to another tenant")
        record = decode(*self._halves(row))
        if record.tenant != self.tenant:
            raise ValueError("what the row holds belongs to another tenant")
        if (record.id, record.time, record.verdict) != (row.id, row.time, row.verdict):
            raise ValueError("the row's columns contradict what it holds")
        return record

    def _halves(self, row: Row) -> tuple[bytes, bytes | None]:
        if self._opener is not None and not is_sealed(row.admission) and not self._saw_clear:
            self._saw_clear = True
            self._on_alarm(Alarm(self.tenant, row.seq, _CLEAR))
        admission = opened(self._opener, self.tenant, ADMISSION, row.id, row.admission)
        if row.completion is None:
            return admission, None
        return admission, opened(self._opener, self.tenant, COMPLETION, row.id, row.completion)

    def _select(self, statement: str, parameters: tuple[object, ...]) -> list[Row]:
        path = self._placement.find(self.tenant)
        if path is None:
            return []
        uri = f"{path.as_uri()}?mode=ro"
        try:
            with closing(
                sqlite3.connect(uri, uri=True, timeout=_LOCK_WAIT_SECONDS, isolation_level=None)
            ) as connection:
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    return []  # made this moment; its schema isn't committed yet
                if version > SCHEMA_VERSION:
                    raise TrailUnavailable(f"`{path}` was written by a newer partywall (schema {version})")
                return [Row._make(found) for found in connection.execute(statement, parameters)]
        except sqlite3.Error as error:
            raise TrailUnavailable(f"can't read `{path}`: {error}") from error


def _id_at(time: float) -> str:
    """What the ids of that time and later are not less than."""
    milliseconds = int(time * 1000) - _ID_MARGIN_MS if math.isfinite(time * 1000) else 0
    return f"dec_{milliseconds:012x}" if milliseconds > 0 else ""


def _time_and_id(record: DecisionRecord) -> tuple[float, str]:
    return record.time, record.id
