"""Everybody who is connected, and the one clock that their deadlines are held against.

Promises: no more than `MAX_CONNECTIONS` at once; each is asked to look at its deadlines every `_TICK_SECONDS`. One
timer for all: a timer for each wait of each request cost more than parsing it.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Final, Protocol

__all__ = ["MAX_CONNECTIONS", "Clients"]


def _descriptors_for_clients() -> int:
    """Half of what the process may open; the rest is for upstreams and files."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 65_536 if allowed == resource.RLIM_INFINITY else max(allowed // 2, 16)


MAX_CONNECTIONS: Final = _descriptors_for_clients()
"""Clients connected at once, to one process."""
_TICK_SECONDS: Final = 0.5


class _Connection(Protocol):
    def look(self, now: float) -> None: ...
    def finish(self) -> None: ...
    def cancel(self) -> None: ...


class Clients:
    """The open connections of one server."""

    __slots__ = ("_loop", "_none_left", "_open", "_tick", "_tick_seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, tick_seconds: float = _TICK_SECONDS) -> None:
        self._loop = loop
        self._open: set[_Connection] = set()
        self._none_left: asyncio.Event | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._tick_seconds = tick_seconds

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: _Connection) -> bool:
        """Take note of a new connection. False when there are too many."""
        if len(self._open) >= MAX_CONNECTIONS:
            return False
        self._open.add(connection)
        if self._tick is None:
            self._tick = self._loop.call_later(self._tick_seconds, self._look)
        return True

    def discard(self, connection: _Connection) -> None:
        """A connection is closed."""
        self._open.discard(connection)
        if not self._open and self._none_left is not None:
            self._none_left.set()

    async def aclose(self, *, grace_seconds: float) -> None:
        """Let each finish what it has begun, for `grace_seconds`; then cut off those that are left."""
        for connection in tuple(self._open):
            connection.finish()
        if self._open:
            self._none_left = asyncio.Event()
            try:
                async with asyncio.timeout(grace_seconds):
                    await self._none_left.wait()
            except TimeoutError:
                self.cut_off()
        if self._tick is not None:
            self._tick.cancel()

    def cut_off(self) -> None:
        """Close every connection now, whatever is under way on it."""
        for connection in tuple(self._open):
            connection.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        for connection in tuple(self._open):
            connection.look(now)
        self._tick = self._loop.call_later(self._tick_seconds, self._look) if self._open else None
