"""Blocking calls of one root, off the event loop and with an end in sight.

Promises: whoever waits is answered within the time-out, even when the socket, disk or server behind the call hangs
for ever; at most `limit` calls run at once. A call that hangs delays neither the close nor the end of the process.

Doesn't promise: to stop a call that hangs. Its thread keeps its seat until the call returns; when all seats are taken,
new calls wait for one until their own time is over.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from partywall.errors import KeyUnavailable

__all__ = ["BlockingCalls"]

_LIMIT: Final = 16

Result = TypeVar("Result")


class BlockingCalls:
    """A daemon thread for each call: a pool's own threads would be joined when the interpreter ends.

    A thread costs some 0.1 ms, beside calls of a few milliseconds, once a minute for each tenant.
    """

    __slots__ = ("_closed", "_seats", "_service", "_timeout_seconds")

    def __init__(self, service: str, timeout_seconds: float, *, limit: int = _LIMIT) -> None:
        self._service = service
        self._timeout_seconds = timeout_seconds
        self._seats = asyncio.Semaphore(limit)
        self._closed = False

    async def within(self, work: Awaitable[Result]) -> Result:
        """Await `work`, which may make several calls, for no longer than the time-out.

        Raises:
            KeyUnavailable: the time is over, or the root was closed.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await work
        except TimeoutError:
            raise self.too_slow() from None

    def too_slow(self) -> KeyUnavailable:
        """The error for what took too long, here or in a socket."""
        return KeyUnavailable(f"{self._service} did not answer within {self._timeout_seconds:g} s")

    async def run(self, call: Callable[[], Result]) -> Result:
        """What `call` returns or raises, in a thread. Put `within` around it.

        Raises:
            KeyUnavailable: the root was closed.
        """
        await self._seats.acquire()
        if self._closed:
            self._seats.release()
            raise KeyUnavailable(f"{self._service} was closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def settle(result: Result | None, error: BaseException | None) -> None:
            self._seats.release()
            if done.done():
                return  # whoever waited has left
            if error is None:
                done.set_result(result)  # type: ignore[arg-type]  # None only when Result is None, or with an error
            else:
                done.set_exception(error)

        def work() -> None:
            result, error = None, None
            try:
                result = call()
            except BaseException as raised:  # noqa: BLE001  # it is raised again, in the task that waits
                error = raised
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(settle, result, error)

        try:
            threading.Thread(target=work, name="partywall-root", daemon=True).start()
        except RuntimeError:
            self._seats.release()
            raise KeyUnavailable(f"no thread could be started to ask {self._service}") from None
        return await done

    def close(self) -> None:
        """Refuse further calls. Those that run are left to themselves."""
        self._closed = True
