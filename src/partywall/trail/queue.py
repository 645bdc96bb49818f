"""What waits to be written for one tenant, and who waits for it.

Promises: every future handed in is resolved exactly once, or was cancelled by its owner; a failure that nobody awaits
makes no noise of its own (the trail has logged it).

Doesn't promise: to be seen from any thread but the event loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from partywall.errors import TrailUnavailable
from partywall.tenancy import TenantId
from partywall.trail.database import Completion, DecisionFile, Insertion

__all__ = ["Batch", "Line", "fail"]

Waiter = asyncio.Future[None]


class Batch:
    """Rows for one file, and a future for each, in the order of their writing: insertions, then completions."""

    __slots__ = ("_completed", "_inserted", "completions", "insertions")

    def __init__(self) -> None:
        self.insertions: list[Insertion] = []
        self.completions: list[Completion] = []
        self._inserted: list[Waiter] = []
        self._completed: list[Waiter] = []

    def __len__(self) -> int:
        return len(self.insertions) + len(self.completions)

    def insert(self, row: Insertion, waiter: Waiter) -> None:
        self.insertions.append(row)
        self._inserted.append(waiter)

    def complete(self, row: Completion, waiter: Waiter) -> None:
        self.completions.append(row)
        self._completed.append(waiter)

    def extend(self, later: Batch) -> None:
        """Take over what came after."""
        self.insertions += later.insertions
        self.completions += later.completions
        self._inserted += later._inserted
        self._completed += later._completed

    def waiters(self) -> Iterator[Waiter]:
        """The futures, in the order of the rows."""
        yield from self._inserted
        yield from self._completed

    def settle(self, refused: Mapping[int, str]) -> None:
        """The batch is committed, but for the rows `refused` by position."""
        for position, waiter in enumerate(self.waiters()):
            if refused and position in refused:
                fail(waiter, refused[position])
            elif not waiter.done():
                waiter.set_result(None)

    def fail(self, reason: str) -> None:
        """Nothing of the batch was written."""
        for waiter in self.waiters():
            fail(waiter, reason)


class Line:
    """One tenant's way to its file.

    INVARIANT: while `lent` is set a helper thread has the file, and the event loop doesn't touch it.
    """

    __slots__ = (
        "batch",
        "blocked_since",
        "due",
        "fault",
        "file",
        "frames",
        "lent",
        "lingers",
        "retry_at",
        "tenant",
        "used",
        "writing",
    )

    def __init__(self, tenant: TenantId | None) -> None:
        self.tenant = tenant
        self.batch = Batch()
        """What waits."""
        self.writing: Batch | None = None
        """What a helper thread is writing."""
        self.file: DecisionFile | None = None
        self.lent = False
        """A helper thread has the file."""
        self.due = False
        """In the queue of the next flush."""
        self.lingers = False
        """Holds completions that nobody has asked to hurry."""
        self.frames = 0
        """About how many pages the log has grown by since the last checkpoint."""
        self.used = 0
        """The number of the flush that used it last."""
        self.blocked_since: float | None = None
        """Since when another process holds the lock."""
        self.fault: str | None = None
        """Why the last write failed; None after one that succeeded."""
        self.retry_at = 0.0
        """Until then nothing is tried on a faulty file."""

    @property
    def name(self) -> str:
        """For messages."""
        return "the platform" if self.tenant is None else f"tenant `{self.tenant}`"

    def waiters(self) -> Iterator[Waiter]:
        """The futures of everything queued or being written."""
        yield from self.batch.waiters()
        if self.writing is not None:
            yield from self.writing.waiters()


def fail(waiter: Waiter, reason: str) -> None:
    """Resolve with `TrailUnavailable`, unless its owner has gone."""
    if not waiter.done():
        waiter.set_exception(TrailUnavailable(reason))
        # Nobody has to await a completion; asking here keeps asyncio from calling the error "never retrieved".
        waiter.exception()
