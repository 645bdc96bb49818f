"""Idle connections, each where only requests of its own route look.

Promises: `take(route)` returns a connection that was put under an equal route, or None. There are never more than
`max_per_route` of one route nor `max_total` of all; the one idle for longest goes first. None is handed out that has
been idle for longer than `idle_timeout_seconds`.

Doesn't promise: room for every tenant. With more tenants than places, a busy neighbour costs a quiet one its idle
connections, and the quiet one pays a handshake: make `max_total` larger than the connections expected to be warm.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from partywall.upstream.client.connection import Connection, Route

__all__ = ["IdleShelf"]


class IdleShelf:
    """It is told the time, and closes nothing: who evicts gets the connections back to close them."""

    __slots__ = ("_by_age", "_by_route", "_idle_timeout_seconds", "_max_per_route", "_max_total")

    def __init__(self, *, idle_timeout_seconds: float, max_total: int, max_per_route: int) -> None:
        self._idle_timeout_seconds = idle_timeout_seconds
        self._max_total = max_total
        self._max_per_route = max_per_route
        self._by_route: dict[Route, list[Connection]] = {}
        # An OrderedDict as an ordered set: the oldest is found, and any one removed, in constant time.
        self._by_age: OrderedDict[Connection, None] = OrderedDict()

    def __len__(self) -> int:
        """How many connections are idle."""
        return len(self._by_age)

    def __iter__(self) -> Iterator[Connection]:
        """Those that are idle, the one idle for longest first."""
        return iter(self._by_age)

    def put(self, connection: Connection, now: float) -> list[Connection]:
        """Keep `connection`. Returns those that had to make room (it may be among them)."""
        connection.idle_since = now
        stack = self._by_route.get(connection.route)
        if stack is None:
            stack = self._by_route[connection.route] = []
        stack.append(connection)
        self._by_age[connection] = None
        evicted = []
        if len(stack) > self._max_per_route:
            evicted.append(stack[0])
            self.discard(stack[0])
        if len(self._by_age) > self._max_total:
            oldest = next(iter(self._by_age))
            evicted.append(oldest)
            self.discard(oldest)
        return evicted

    def take(self, route: Route, now: float) -> Connection | None:
        """The connection of `route` that was used last, if it is still within its time."""
        stack = self._by_route.get(route)
        if stack is None or now - stack[-1].idle_since > self._idle_timeout_seconds:
            return None
        connection = stack.pop()
        if not stack:
            del self._by_route[route]
        del self._by_age[connection]
        return connection

    def discard(self, connection: Connection) -> None:
        """Forget it if it is here."""
        if connection not in self._by_age:
            return
        del self._by_age[connection]
        stack = self._by_route[connection.route]
        stack.remove(connection)
        if not stack:
            del self._by_route[connection.route]

    def expire(self, now: float) -> list[Connection]:
        """Remove and return those that have been idle for too long."""
        expired: list[Connection] = []
        for connection in self._by_age:
            if now - connection.idle_since <= self._idle_timeout_seconds:
                break
            expired.append(connection)
        for connection in expired:
            self.discard(connection)
        return expired

    def next_expiry(self) -> float | None:
        """When `expire` will next have something to do; None while nothing is idle."""
        oldest = next(iter(self._by_age), None)
        return None if oldest is None else oldest.idle_since + self._idle_timeout_seconds
