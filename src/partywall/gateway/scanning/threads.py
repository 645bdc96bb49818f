"""The threads on which long texts are scanned.

Promises: the event loop goes on while they are, and threads that others use are left to them. A tenant has one scan
under way at most, whether or not its caller still waits for it; those that come meanwhile wait for their turn, so that
however much one tenant sends, it holds one thread. A caller that is cancelled goes at once; a scan that hadn't begun
then is never begun.

Doesn't promise: to stop a scan that has begun. It ends in time in proportion to its text; closing doesn't wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from partywall.tenancy import TenantScope

__all__ = ["AT_ONCE_BYTES", "ScanThreads"]

_R = TypeVar("_R")
_THREADS: Final = 2
AT_ONCE_BYTES: Final = 4 * 1024
"""What is longer isn't scanned on the event loop: everybody else's must not wait."""


class ScanThreads:
    """The threads of one gateway. They belong to the event loop that uses them."""

    __slots__ = ("_pool", "_turns")

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="partywall-scan")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, scope: TenantScope, size: int, work: Callable[[], _R]) -> _R:
        """Do `work`, which looks at `size` bytes of that tenant's."""
        if size <= AT_ONCE_BYTES:
            return work()
        turn = self._turns.get(scope.tenant)
        if turn is None:
            turn = self._turns[scope.tenant] = asyncio.Lock()
        await turn.acquire()
        loop = asyncio.get_running_loop()

        def ended(_done: Future[_R]) -> None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits for a turn any more
                loop.call_soon_threadsafe(turn.release)

        try:
            doing = self._pool.submit(work)
        except BaseException:
            turn.release()
            raise
        # INVARIANT: the turn ends with the work, not with the caller: who hangs up starts no second scan beside it.
        doing.add_done_callback(ended)
        return await asyncio.wrap_future(doing)

    def close(self) -> None:
        """Begin no other scan."""
        self._pool.shutdown(wait=False, cancel_futures=True)
