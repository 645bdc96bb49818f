"""What waits to be written for one tenant, and who waits for it.

Promises: every future handed in is resolved exactly once, or was cancelled by its owner. Rows that nobody waits for
have no future.

Doesn't promise: to be seen from any thread but the event loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from partywall.errors import TrailUnavailable
from partywall.tenancy import TenantId
from partywall.trail.database import Completion, DecisionFile, Insertion

__all__ = ["Batch", "Line", "Waiter"]

Waiter = asyncio.Future[None]


class Batch:
    """Rows for one file, and who waits for each: None for nobody. `Trail` appends a row and its waiter together.

    INVARIANT: `inserted` is as long as `insertions`, `completed` as `completions`.
    """

    __slots__ = ("_settled", "completed", "completions", "inserted", "insertions")

    def __init__(self) -> None:
        self.insertions: list[Insertion] = []
        self.inserted: list[Waiter | None] = []
        self.completions: list[Completion] = []
        self.completed: list[Waiter | None] = []
        self._settled: list[Waiter] = []

    def __len__(self) -> int:
        return len(self.insertions) + len(self.completions)

    def extend(self, later: Batch) -> None:
        """Take over what came after."""
        self.insertions += later.insertions
        self.inserted += later.inserted
        self.completions += later.completions
        self.completed += later.completed
        self._settled += later._settled

    def settled(self) -> Waiter:
        """A future that is done when every row of the batch is written or has failed."""
        waiter = asyncio.get_running_loop().create_future()
        self._settled.append(waiter)
        return waiter

    def settle(self, refused: Mapping[int, str]) -> None:
        """The batch is committed, but for the rows `refused` by position: insertions first, then completions."""
        waiters = self.inserted + self.completed
        for position, reason in refused.items():
            fail(waiters[position], reason)
        for waiter in waiters + self._settled:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def fail(self, reason: str) -> None:
        """Nothing of the batch was written."""
        for waiter in self.inserted + self.completed:
            fail(waiter, reason)
        for waiter in self._settled:
            if not waiter.done():
                waiter.set_result(None)


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

    def batches(self) -> list[Batch]:
        """What is queued or being written."""
        return [batch for batch in (self.batch, self.writing) if batch]


def fail(waiter: Waiter | None, reason: str) -> None:
    """Resolve with `TrailUnavailable`, unless nobody waits or its owner has gone."""
    if waiter is not None and not waiter.done():
        waiter.set_exception(TrailUnavailable(reason))
