"""Work that many wait for and that runs once; and work that may wait, off the event loop.

Promises: of one name, one piece of work runs at a time; whoever asks meanwhile waits for that one. A waiter that is
cancelled leaves the work and the other waiters alone. Each waiter gets an error of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from partywall.errors import KeyDestroyed, KeyUnavailable, PartywallError, SealBroken

__all__ = ["Flights", "Helpers", "again"]

_HELPERS: Final = 4
_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Flights:
    """The work under way. Belongs to one event loop."""

    __slots__ = ("_closed", "_tasks")

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}
        self._closed = False

    async def join(self, name: Hashable, work: Callable[[], Coroutine[object, object, None]]) -> None:
        """Wait for the work of that name, starting it when none is under way.

        Raises:
            KeyUnavailable, SealBroken: what the work raised.
        """
        task = self.start(name, work)
        await asyncio.wait({task})  # unlike `await task`, leaves it alone when we are cancelled
        if task.cancelled():
            raise KeyUnavailable("the keyring was closed")
        error = task.exception()
        if isinstance(error, PartywallError):
            raise again(error) from error
        if error is not None:
            raise KeyUnavailable(f"a key could not be had: {type(error).__name__}") from error

    def start(self, name: Hashable, work: Callable[[], Coroutine[object, object, None]]) -> asyncio.Task[None]:
        """The work of that name; not waited for.

        Raises:
            KeyUnavailable: the keyring was closed.
        """
        task = self._tasks.get(name)
        if task is None:
            if self._closed:
                raise KeyUnavailable("the keyring was closed")
            # Not in a TaskGroup: one client that hangs up must not take the key away from those who wait beside it.
            # This object owns the task, and `aclose` ends it.
            task = self._tasks[name] = asyncio.get_running_loop().create_task(work())
            task.add_done_callback(partial(self._landed, name))
        return task

    def _landed(self, name: Hashable, task: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, PartywallError):
            _log.error("work on keys failed", exc_info=error)

    async def aclose(self, *, cancel: bool) -> None:
        """Start nothing more, and wait for what is under way to end."""
        self._closed = True
        tasks = set(self._tasks.values())
        if cancel:
            for task in tasks:
                task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class Helpers:
    """A few threads of our own, so that a lock that is held never delays what others do with the loop's threads."""

    __slots__ = ("_closed", "_pool")

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_HELPERS, thread_name_prefix="partywall-keys")
        self._closed = False

    async def run(self, work: Callable[[], _T]) -> _T:
        """What `work` returns. It runs to its end even when the waiter is cancelled.

        Raises:
            KeyUnavailable: the keyring was closed.
        """
        if self._closed:
            raise KeyUnavailable("the keyring was closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Take on nothing more."""
        self._closed = True
        self._pool.shutdown(wait=False)


def again(error: PartywallError) -> PartywallError:
    """The same error once more, for another waiter: a raised one collects the traces of whoever raises it.

    Of a root's own kinds of `KeyUnavailable`, whose constructors we don't know, the message is what is left.
    """
    if isinstance(error, SealBroken):
        return SealBroken(str(error), reason=error.reason)
    return KeyDestroyed(str(error)) if isinstance(error, KeyDestroyed) else KeyUnavailable(str(error))
