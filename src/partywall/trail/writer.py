"""When which tenant's records are written, and by whom: the engine below `Trail`.

Promises: one tenant's full, corrupt, locked or missing file fails that tenant's records and nobody else's, and holds
nobody else's up; the event loop never waits for a lock or an fsync. Every record queued is settled: written, or failed.

How: what waits is committed together, one transaction for each tenant's file, when the event loop has nothing else to
do: at most once a millisecond, and after ten even if the loop is busy. A lone request waits for nobody, and under load
more records share a transaction. The commit runs on the event loop itself: appending to a write-ahead log without fsync
is a few writes to the page cache, and a thread of its own cost 40 to 50 us of hand-off and lock contention a request
where the commit costs 15 to 20 (32 callers, 2 tenants; two threads of Python fight for one interpreter). Whatever may
wait for a disk or a lock is lent to a helper thread: opening, checkpoints, closing, and each commit when the durability
is `full`. A lock that another process holds is tried again a millisecond later.

Doesn't promise: even timing while the kernel itself stalls writes to the page cache.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Final, TypeVar

from partywall.tenancy import TenantId
from partywall.trail.database import DecisionFile, is_busy
from partywall.trail.placement import Placement
from partywall.trail.queue import Batch, Line

__all__ = ["Writer"]

_PACE_SECONDS: Final = 0.001
"""At most one flush in this time."""
_IDLE_TURN_SECONDS: Final = 0.000_05
"""A turn of the event loop that was shorter did nothing: serving a request takes several times as long."""
_LONGEST_WAIT_SECONDS: Final = 0.01
"""How long a flush waits for an idle turn."""
_LINGER_SECONDS: Final = 0.02
"""How long completions wait for an admission to ride with."""
_FILES_PER_TURN: Final = 16
"""Files committed before the event loop may do something else."""
_CHECKPOINT_FRAMES: Final = 1000
_COOL_SECONDS: Final = 0.25
"""How long a faulty file is left alone, so that one tenant's broken disk can't keep the helpers busy."""
_HELPERS: Final = 4
_LOCK_WAIT_SECONDS: Final = 0.1
"""How long a helper waits for another process's lock before it serves another tenant and comes back."""
_START_LOCK_WAIT_SECONDS: Final = 5.0

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Writer:
    """Lines of waiting records, and the files they go to. Everything but the lent work runs on the event loop."""

    def __init__(
        self, placement: Placement, *, durable: bool, max_open_files: int, lock_patience_seconds: float
    ) -> None:
        self.lines: dict[TenantId | None, Line] = {}
        self.waiting = 0
        """Records queued or being written, of everybody."""
        self._placement = placement
        self._durable = durable
        self._max_open_files = max_open_files
        self._lock_patience_seconds = lock_patience_seconds
        self._loop = asyncio.get_running_loop()
        self._helpers = ThreadPoolExecutor(_HELPERS, thread_name_prefix="partywall-trail")
        self._open: set[Line] = set()
        self._due: deque[Line] = deque()
        self._lingering: list[Line] = []
        self._flush_handle: asyncio.Handle | None = None
        self._linger_handle: asyncio.Handle | None = None
        self._next_flush = 0.0
        self._latest_flush = 0.0
        self._looked = 0.0
        """When the last turn of the event loop that a flush waits for began."""
        self._flushes = 0
        self._closing = False

    def line(self, tenant: TenantId | None) -> Line:
        """The tenant's line, made when there is none.

        Raises:
            InvalidTenantId: nothing is kept under what is no tenant id.
        """
        line = self.lines.get(tenant)
        if line is None:
            self._placement.file_of(tenant)
            line = self.lines[tenant] = Line(tenant)
        return line

    def open_now(self, tenant: TenantId | None) -> None:
        """Open a file here and now, waiting as long as it takes. For the start only.

        Raises:
            TrailUnavailable, sqlite3.Error, OSError: it can't be used.
        """
        line = self.line(tenant)
        self._opened(line, self._open_file(tenant, _START_LOCK_WAIT_SECONDS))

    def is_cooling(self, line: Line) -> bool:
        """Whether the line's file failed so recently that trying again would only cost the others time."""
        return line.fault is not None and self._loop.time() < line.retry_at

    async def aclose(self) -> None:
        """Write what waits, close the files. The caller queues nothing more."""
        self._closing = True
        try:
            await self._drain()
            for line in tuple(self._open):
                self._let_go(line)
            await self._drain()
        finally:
            self._helpers.shutdown(wait=False)

    async def _drain(self) -> None:
        """Wait until nothing is queued or lent. It ends: each record is written, or fails when patience is over."""
        while self.waiting or any(line.lent for line in self.lines.values()):
            self.hurry_all()
            await asyncio.sleep(_PACE_SECONDS)

    # -- Who is next -------------------------------------------------------------------------------------------------

    def hurry(self, line: Line) -> None:
        """Put the line into the next flush."""
        if not line.due:
            line.due = True
            self._due.append(line)
        if self._flush_handle is None:
            # Not `loop.time`, which counts whole milliseconds in uvloop.
            self._looked = now = perf_counter()
            self._latest_flush = now + _LONGEST_WAIT_SECONDS
            wait = self._next_flush - now
            later = self._loop.call_later
            self._flush_handle = later(wait, self._look) if wait > 0 else self._loop.call_soon(self._look)

    def hurry_all(self) -> None:
        """Put every line with something in it into the next flush."""
        for line in self.lines.values():
            if line.batch:
                self.hurry(line)

    def linger(self, line: Line) -> None:
        """Let the line wait for an admission, but not for long."""
        if line.due or line.lingers:
            return
        line.lingers = True
        self._lingering.append(line)
        if self._linger_handle is None:
            self._linger_handle = self._loop.call_later(_LINGER_SECONDS, self._stop_lingering)

    def _stop_lingering(self) -> None:
        self._linger_handle = None
        lines, self._lingering = self._lingering, []
        for line in lines:
            line.lingers = False
            if line.batch:
                self.hurry(line)

    def _look(self) -> None:
        """Flush when the event loop has nothing else to do: until then more records may come to share the commits."""
        now = perf_counter()
        if now - self._looked > _IDLE_TURN_SECONDS and now < self._latest_flush:
            self._looked = now
            self._flush_handle = self._loop.call_soon(self._look)
        else:
            self._flush()

    def _flush(self) -> None:
        self._flush_handle = None
        self._flushes += 1
        for _ in range(min(len(self._due), _FILES_PER_TURN)):
            line = self._due.popleft()
            line.due = False
            self._write(line)
        self._keep_to_limit()  # those that were busy when the last file was opened
        self._next_flush = perf_counter() + _PACE_SECONDS
        if self._due and self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush)

    # -- Writing -----------------------------------------------------------------------------------------------------

    def _write(self, line: Line) -> None:
        if line.lent or not line.batch:
            return  # when the file comes back, this is called again
        if line.file is None:
            self._reopen(line)
            return
        line.used = self._flushes
        batch, line.batch = line.batch, Batch()
        work = partial(line.file.write, batch.insertions, batch.completions)
        if self._durable:
            line.writing = batch
            self._lend(line, work, partial(self._written, line, batch), partial(self._not_written, line, batch))
            return
        try:
            refused = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are refused: no trail, no data
            self._not_written(line, batch, error)
        else:
            self._written(line, batch, refused)

    def _written(self, line: Line, batch: Batch, refused: dict[int, str]) -> None:
        rows = len(batch.insertions) + len(batch.completions)
        self.waiting -= rows
        line.writing = line.blocked_since = line.fault = None
        for reason in refused.values():
            _log.error("a decision of %s was not recorded: %s", line.name, reason)
        batch.settle(refused)
        # Each transaction touches a leaf of the table and of the index, and then some.
        line.frames += 4 + rows // 4
        if line.frames >= _CHECKPOINT_FRAMES and line.file is not None:
            line.frames = 0
            self._lend(line, line.file.checkpoint, _nothing, partial(self._failed, line, Batch()))

    def _not_written(self, line: Line, batch: Batch, error: BaseException) -> None:
        line.writing = None
        if is_busy(error) and self._is_patient(line):
            batch.extend(line.batch)
            line.batch = batch
            self.hurry(line)
        else:
            self._failed(line, batch, error)

    def _is_patient(self, line: Line) -> bool:
        now = self._loop.time()
        if line.blocked_since is None:
            line.blocked_since = now
        return now - line.blocked_since < self._lock_patience_seconds

    def _failed(self, line: Line, batch: Batch, error: BaseException) -> None:
        """Refuse the batch, and start afresh with the file a little later."""
        reason = f"the decisions of {line.name} can't be written: {error}"
        if line.fault is None:
            _log.error("%s", reason)
        line.fault, line.blocked_since = reason, None
        line.retry_at = self._loop.time() + _COOL_SECONDS
        self.waiting -= len(batch)
        batch.fail(reason)
        self._let_go(line)

    # -- Helpers: whatever may wait for a disk or a lock -------------------------------------------------------------

    def _lend(
        self,
        line: Line,
        work: Callable[[], _Result],
        then: Callable[[_Result], None],
        otherwise: Callable[[BaseException], None],
    ) -> None:
        """Run `work` in a helper thread, and one of the others back here. Until then the line's file is away."""

        def returned(job: asyncio.Future[_Result]) -> None:
            line.lent = False
            error = job.exception()
            if error is None:
                then(job.result())
            else:
                otherwise(error)
            if line.batch:
                self.hurry(line)

        line.lent = True
        self._loop.run_in_executor(self._helpers, work).add_done_callback(returned)

    def _open_file(self, tenant: TenantId | None, lock_wait_seconds: float = _LOCK_WAIT_SECONDS) -> DecisionFile:
        path = self._placement.make(tenant)
        return DecisionFile(path, durable=self._durable, lock_wait_seconds=lock_wait_seconds)

    def _reopen(self, line: Line) -> None:
        if self.is_cooling(line) and not self._closing:
            self._loop.call_at(line.retry_at, self.hurry, line)
        else:
            work = partial(self._open_file, line.tenant)
            self._lend(line, work, partial(self._opened, line), partial(self._not_opened, line))

    def _opened(self, line: Line, file: DecisionFile) -> None:
        line.file = file
        line.frames = 0
        line.used = self._flushes
        self._open.add(line)
        self._keep_to_limit(line)

    def _keep_to_limit(self, in_use: Line | None = None) -> None:
        """Close files that were used longest ago, as many as are open beyond the limit and have nothing to do."""
        if (excess := len(self._open) - self._max_open_files) > 0:
            idle = [other for other in self._open if other is not in_use and not other.lent and not other.batch]
            for other in sorted(idle, key=lambda other: other.used)[:excess]:
                self._let_go(other)

    def _not_opened(self, line: Line, error: BaseException) -> None:
        batch, line.batch = line.batch, Batch()
        self._not_written(line, batch, error)

    def _let_go(self, line: Line) -> None:
        """Close the line's file. A record that comes meanwhile waits, and then opens it again."""
        self._open.discard(line)
        file, line.file = line.file, None
        if file is not None:
            self._lend(line, file.close, _nothing, _log_close)


def _nothing(_: object) -> None:
    """Nothing is left to do."""


def _log_close(error: BaseException) -> None:
    """What was committed stays committed; the next to open the file finishes what the closing began."""
    _log.warning("closing a file of decisions: %s", error)
