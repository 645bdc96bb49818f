"""`TrailReader`: whose decisions to read, how they are merged, and following them as they come.

Promises: one tenant's view reads one tenant's file and nothing else; reading several is a call of its own, spelled out.
What doesn't belong in a file is reported and left out (`trail.shelf` says how). A view of one file raises when it can't
be read; a view of all reports that and goes on with the others, so that one broken file hides nobody else's events.
Sealed decisions without an opener are refused by both: that is the reader's fault and no file's.

Doesn't promise: to see a record before its commit, or in the same order on two readings while writers are at work.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from partywall.errors import TrailUnavailable
from partywall.tenancy import TenantId, parse_tenant_id
from partywall.trail.placement import Placement
from partywall.trail.record import DecisionRecord, Verdict
from partywall.trail.sealing import NothingToOpenWith, Opener
from partywall.trail.shelf import Alarm, Query, Row, Shelf

__all__ = ["Follower", "TrailReader", "View"]

_PAGE_ROWS: Final = 256
_ALL_PAGES_ROWS: Final = 16_384
"""Rows held at once when many files are merged, whatever their number."""

_log = logging.getLogger(__name__)
OnAlarm = Callable[[Alarm], None]


def _log_alarm(alarm: Alarm) -> None:
    _log.error("%s", alarm)


class TrailReader:
    """The reading side of a data directory. Nothing is opened until a view is read."""

    def __init__(self, data_dir: Path, *, on_alarm: OnAlarm = _log_alarm, opener: Opener | None = None) -> None:
        """`on_alarm` hears of each row and file that is left out; the default logs an error. `opener` opens seals."""
        self._placement = Placement(data_dir)
        self._on_alarm = on_alarm
        self._opener = opener

    def tenants(self) -> list[TenantId]:
        """Everyone who has decisions, in the order of their ids."""
        return list(self._placement.tenants())

    def of_tenant(self, tenant: TenantId) -> View:
        """One tenant's decisions. A tenant that nobody has heard of has none.

        Raises:
            InvalidTenantId: that is no tenant id.
        """
        parse_tenant_id(tenant)
        return View(self._placement, lambda: [tenant], self._on_alarm, self._opener, strict=True)

    def of_platform(self) -> View:
        """The decisions on requests that never had a verified tenant."""
        return View(self._placement, lambda: [None], self._on_alarm, self._opener, strict=True)

    def across_all_tenants(self) -> View:
        """Everybody's and the platform's, merged. For operators: nothing that a tenant may see comes from here."""
        return View(self._placement, lambda: [None, *self.tenants()], self._on_alarm, self._opener, strict=False)


class View:
    """The decisions in one file, or in all of them. Get one from a `TrailReader`."""

    def __init__(
        self,
        placement: Placement,
        whose: Callable[[], Sequence[TenantId | None]],
        on_alarm: OnAlarm,
        opener: Opener | None,
        *,
        strict: bool,
    ) -> None:
        self._placement = placement
        self._whose = whose
        self._on_alarm = on_alarm
        self._opener = opener
        self._strict = strict

    def events(
        self, *, since: float | None = None, verdict: Verdict | None = None, limit: int | None = None
    ) -> Iterator[DecisionRecord]:
        """The decisions in the order of their time; with a `limit`, the newest so many of them.

        `since` is in seconds of the Unix epoch; `verdict` is the verdict as it ended.

        Raises:
            TrailUnavailable: the one file of this view can't be read.
        """
        if limit is None:
            return self._merged(since, verdict, newest_first=False)
        newest = list(islice(self._merged(since, verdict, newest_first=True), limit))
        return reversed(newest)

    def follow(self, *, verdict: Verdict | None = None, poll_seconds: float = 0.5) -> Iterator[DecisionRecord]:
        """Each decision from now on, for ever, as `tail -f` does: `Follower` says when one is shown."""
        follower = self.follower(verdict=verdict)
        while True:
            yield from follower.poll()
            time.sleep(poll_seconds)

    def follower(self, *, verdict: Verdict | None = None, patience_seconds: float = 3.0) -> Follower:
        """What `follow` is made of, for callers with a loop of their own. It starts at this moment."""
        return Follower(self, verdict, patience_seconds)

    def last_time(self) -> float | None:
        """When the newest decision of this view began, in seconds of the Unix epoch, unopened and unchecked.

        Raises:
            TrailUnavailable: a file of this view can't be read.
        """
        return max((time for shelf in self.shelves() if (time := shelf.last_time()) is not None), default=None)

    def shelves(self) -> list[Shelf]:
        """The files of this view as they are now."""
        return [Shelf(self._placement, tenant, self._on_alarm, self._opener) for tenant in self._whose()]

    def unreadable(self, tenant: TenantId | None, error: TrailUnavailable) -> None:
        """A file can't be read: raise, or report it and let the reading go on."""
        if self._strict or isinstance(error, NothingToOpenWith):
            raise error
        self._on_alarm(Alarm(tenant, None, str(error)))

    def _merged(self, since: float | None, verdict: Verdict | None, *, newest_first: bool) -> Iterator[DecisionRecord]:
        shelves = self.shelves()
        page = max(1, min(_PAGE_ROWS, _ALL_PAGES_ROWS // max(1, len(shelves))))
        query = Query(since, verdict, newest_first, page)
        scans = [self._scan(shelf, query) for shelf in shelves]
        return heapq.merge(*scans, key=lambda record: (record.time, record.id), reverse=newest_first)

    def _scan(self, shelf: Shelf, query: Query) -> Iterator[DecisionRecord]:
        try:
            yield from shelf.scan(query)
        except TrailUnavailable as error:
            self.unreadable(shelf.tenant, error)


class Follower:
    """Shows each decision once: when it is completed, or as it stands when it takes longer than the patience."""

    def __init__(self, view: View, verdict: Verdict | None, patience_seconds: float) -> None:
        self._view = view
        self._verdict = verdict
        self._patience_seconds = patience_seconds
        self._seen: dict[TenantId | None, int] = {}
        """The newest row looked at, for each file. A file that appears later is read from its beginning."""
        self._running: dict[TenantId | None, dict[int, float]] = {}
        """Rows that had not ended, and when to show them all the same."""
        for shelf in view.shelves():
            try:
                self._seen[shelf.tenant] = shelf.last_seq()
            except TrailUnavailable as error:
                view.unreadable(shelf.tenant, error)

    def poll(self) -> list[DecisionRecord]:
        """What there is to show since the last call, in the order of its time.

        Raises:
            TrailUnavailable: the one file of the view can't be read.
        """
        found: list[DecisionRecord] = []
        for shelf in self._view.shelves():
            try:
                found += shelf.checked(self._ended(shelf) + self._new(shelf))
            except TrailUnavailable as error:
                self._view.unreadable(shelf.tenant, error)
        shown = [record for record in found if self._verdict in {None, record.verdict}]
        return sorted(shown, key=lambda record: (record.time, record.id))

    def _ended(self, shelf: Shelf) -> list[Row]:
        """Those of the rows waited for that have ended, or have been waited for long enough."""
        running = self._running.get(shelf.tenant)
        if not running:
            return []
        now = time.monotonic()
        rows = [row for row in shelf.between(min(running), max(running)) if row.seq in running]
        shown = [row for row in rows if row.completion is not None or running[row.seq] <= now]
        for row in shown:
            del running[row.seq]
        return shown

    def _new(self, shelf: Shelf) -> list[Row]:
        """The new rows that have ended; the others are waited for."""
        running = self._running.setdefault(shelf.tenant, {})
        deadline = time.monotonic() + self._patience_seconds
        ended: list[Row] = []
        while rows := shelf.after(self._seen.get(shelf.tenant, 0), _PAGE_ROWS):
            self._seen[shelf.tenant] = rows[-1].seq
            ended += [row for row in rows if row.completion is not None]
            running.update((row.seq, deadline) for row in rows if row.completion is None)
        return ended
