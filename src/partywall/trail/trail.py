"""`Trail`: where a decision goes before anything leaves the gateway.

Promises: `admit` returns when the record is committed and raises when it can't be, so that no trail means no data. What
is committed survives `kill -9`; with `durability="full"` it survives a power cut, which may cost the last commits
otherwise. A fault in one tenant's file refuses that tenant's requests and nobody else's. What waits is bounded, per
tenant and in all. Several processes may write to the same files.

Doesn't promise: that a completion outlives a crash within the thirty milliseconds that it may wait for company; to
follow a fork (open it in the process that serves).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from partywall.errors import PartywallError, TrailUnavailable
from partywall.tenancy import TenantId
from partywall.trail.codec import encode_admission, encode_completion
from partywall.trail.database import NOT_ENDED
from partywall.trail.placement import Placement
from partywall.trail.queue import Line, Waiter
from partywall.trail.record import DecisionRecord
from partywall.trail.sealing import ADMISSION, COMPLETION, KeyNotHeld, Seals
from partywall.trail.writer import Writer

__all__ = ["Durability", "Trail"]

Durability = Literal["normal", "full"]

_KEY_ATTEMPTS: Final = 3

_log = logging.getLogger(__name__)


class Trail:
    """The writing side. Make one with `Trail.open`, on the event loop that uses it."""

    def __init__(
        self, writer: Writer, *, max_waiting: int, max_waiting_per_tenant: int, seals: Seals | None = None
    ) -> None:
        self._writer = writer
        self._seals = seals
        self._waiting_for_keys: set[asyncio.Task[None]] = set()
        self._max_waiting = max_waiting
        self._max_waiting_per_tenant = max_waiting_per_tenant
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        durability: Durability = "normal",
        max_open_files: int = 256,
        max_waiting: int = 10_000,
        max_waiting_per_tenant: int = 2_000,
        lock_patience_seconds: float = 2.0,
        seals: Seals | None = None,
    ) -> Trail:
        """Open the trail below `data_dir`, making the folder if need be. Call it on the running event loop.

        The platform's own file is opened here and now, so that a directory that can't be written stops the start.
        An open file costs three descriptors and up to 200 kB. A tenant whose file isn't open waits some milliseconds,
        so let `max_open_files` cover those who are active at a time. With `seals`, what is written is sealed.

        Raises:
            TrailUnavailable: the directory or that file can't be used.
        """
        writer = Writer(
            Placement(data_dir),
            durable=durability == "full",
            max_open_files=max_open_files,
            lock_patience_seconds=lock_patience_seconds,
        )
        try:
            writer.open_now(None)
        except (sqlite3.Error, OSError) as error:
            raise TrailUnavailable(f"can't open the trail in `{data_dir}`: {error}") from error
        return cls(writer, max_waiting=max_waiting, max_waiting_per_tenant=max_waiting_per_tenant, seals=seals)

    async def admit(self, record: DecisionRecord) -> None:
        """Return once what `record` says now is committed.

        A record whose `outcome` is known already (a refusal) is written whole. One that was admitted before is
        completed, and this returns once that is committed. After a cancellation the record is there or not; `complete`
        does the right thing in both cases.

        Raises:
            TrailUnavailable: it isn't; refuse the request.
        """
        was_admitted = record.admitted_policies is not None
        waiter = self._loop.create_future()
        try:
            line = self._queue(record, waiter)
        except KeyNotHeld:
            line = await self._queue_with_key(record, waiter)
        if not line.due:
            self._writer.hurry(line)
        try:
            await waiter
        except TrailUnavailable:
            if not was_admitted:
                record.admitted_policies = None
            raise

    def complete(self, record: DecisionRecord) -> None:
        """Queue what is known now that the request has ended. It rides with the next commit, and nobody waits for it.

        What can't be written is logged, and shows in `faults` when the file is to blame. A record that was never
        admitted is written whole. How a request ended is written once: a second completion is refused.
        """
        try:
            line = self._queue(record, None)
        except TrailUnavailable as error:
            _log.error("the completion of %s is lost: %s", record.id, error)
            return
        except KeyNotHeld:
            task = self._loop.create_task(self._complete_with_key(record))
            self._waiting_for_keys.add(task)
            task.add_done_callback(self._waiting_for_keys.discard)
            return
        if not (line.due or line.lingers):
            self._writer.linger(line)

    async def flush(self) -> None:
        """Return when everything queued before this call is written or has failed."""
        await self._keys_had()
        settled = [batch.settled() for line in self._writer.lines.values() for batch in line.batches()]
        self._writer.hurry_all()
        if settled:
            await asyncio.wait(settled)

    async def aclose(self) -> None:
        """Write what waits, close the files. Nothing is admitted from here on. Closing twice does nothing."""
        if not self._closed:
            await self._keys_had()
            self._closed = True
            await self._writer.aclose()

    @property
    def healthy(self) -> bool:
        """Whether admissions can be written at all: open, not overflowing, the platform's own file writable.

        One tenant's fault isn't the platform's: it shows in `faults`, and refuses that tenant alone.
        """
        return not self._closed and self._writer.waiting < self._max_waiting and None not in self.faults

    @property
    def faults(self) -> Mapping[TenantId | None, str]:
        """Whose last write failed, and why; None stands for the platform. For operators only."""
        return {tenant: line.fault for tenant, line in self._writer.lines.items() if line.fault is not None}

    def _queue(self, record: DecisionRecord, waiter: Waiter | None) -> Line:
        """Put the half of `record` that is still to be written into its tenant's line, if that may take another.

        `waiter` is whoever waits for the commit. Nobody should wait for a file that failed a moment ago.
        """
        line = self._writer.lines.get(record.tenant) or self._writer.line(record.tenant)
        if self._closed:
            raise TrailUnavailable("the trail is closed")
        batch = line.batch
        waiting = len(batch.insertions) + len(batch.completions)
        if waiting >= self._max_waiting_per_tenant or self._writer.waiting >= self._max_waiting:
            raise TrailUnavailable(f"too many records wait to be written, {waiting} of {line.name}")
        verdict = str(record.verdict)
        if record.admitted_policies is not None:
            batch.completions.append((verdict, self._half(record, COMPLETION), record.id))
            batch.completed.append(waiter)
        else:
            if line.fault is not None and waiter is not None and self._writer.is_cooling(line):
                raise TrailUnavailable(line.fault)
            admission = self._half(record, ADMISSION)
            completion = NOT_ENDED if record.outcome is None else self._half(record, COMPLETION)
            record.admitted_policies = record.policies
            batch.insertions.append((record.id, record.tenant, record.time, verdict, admission, completion))
            batch.inserted.append(waiter)
        self._writer.waiting += 1
        return line

    # -- Sealing -----------------------------------------------------------------------------------------------------

    def _half(self, record: DecisionRecord, half: str) -> bytearray:
        """One half as it is stored.

        Raises:
            KeyNotHeld: it can't be sealed before its key was had.
        """
        plain = encode_admission(record) if half is ADMISSION else encode_completion(record)
        if self._seals is None:
            return bytearray(plain)
        try:
            sealed = self._seals.try_seal(record.tenant, half, record.id, plain)
        except PartywallError as error:
            raise TrailUnavailable(f"the decision can't be sealed: {error}") from error
        if sealed is None:
            raise KeyNotHeld
        return bytearray(sealed)

    async def _queue_with_key(self, record: DecisionRecord, waiter: Waiter | None) -> Line:
        """As `_queue`, with a key that has to be had first."""
        if self._seals is None:
            raise TrailUnavailable("there is nothing to seal with")
        for _ in range(_KEY_ATTEMPTS):
            try:
                await self._seals.get_ready(record.tenant)
            except PartywallError as error:
                raise TrailUnavailable(f"the decision can't be sealed: {error}") from error
            try:
                return self._queue(record, waiter)
            except KeyNotHeld:
                continue  # used up, or taken back, in the same moment
        raise TrailUnavailable("the decision can't be sealed: the key is gone as soon as it is had")

    async def _complete_with_key(self, record: DecisionRecord) -> None:
        try:
            self._writer.linger(await self._queue_with_key(record, None))
        except TrailUnavailable as error:
            _log.error("the completion of %s is lost: %s", record.id, error)

    async def _keys_had(self) -> None:
        """Return when what waited for its key at this moment is queued or lost."""
        if self._waiting_for_keys:
            await asyncio.wait(tuple(self._waiting_for_keys))
