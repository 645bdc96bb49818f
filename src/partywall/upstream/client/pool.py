"""The pool: sends a request to an upstream over a connection that belongs to one tenant and one target.

Promises: a connection is used under the `(tenant, target)` it was made for and under no other, so that a connection
out of step with its requests could hurt only its own tenant. Addresses are judged before connecting (`address`),
redirects are not followed, and nothing is sent twice but one case: a request on a connection that had been idle and
that the peer closed before any byte of the answer goes out once more on a fresh connection.

Doesn't promise: a limit on connections in use; admission is the pipeline's. A fresh connection takes up to
`connect_timeout_seconds` on top of the time for the headers, and the one repetition starts that time anew.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from time import monotonic
from types import TracebackType
from typing import Final, Self

from partywall.errors import UpstreamUnavailable
from partywall.upstream.client.address import Address, resolve
from partywall.upstream.client.connection import ClosedBeforeAnswer, Connection, PoolKey, Route
from partywall.upstream.client.origin import Origin
from partywall.upstream.client.request import Header, encode_head
from partywall.upstream.client.response import UpstreamResponse
from partywall.upstream.client.shelf import IdleShelf

__all__ = ["UpstreamPool"]

_SWEEP_SLACK_SECONDS: Final = 0.1
"""One sweep then closes what expires within the same tenth of a second, and no rounding makes it run in a circle."""


class UpstreamPool:
    """Made once per event loop and closed with `aclose`. Use from that loop only.

    `ssl_context` replaces the system's trust store by an organisation's own; it is for every upstream of the pool.
    """

    def __init__(
        self,
        *,
        connect_timeout_seconds: float,
        idle_timeout_seconds: float,
        max_idle_total: int,
        max_idle_per_key: int,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._connect_timeout_seconds = connect_timeout_seconds
        self._ssl_context = ssl_context or ssl.create_default_context()
        self._shelf = IdleShelf(
            idle_timeout_seconds=idle_timeout_seconds, max_total=max_idle_total, max_per_route=max_idle_per_key
        )
        self._open: set[Connection] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._all_lost = asyncio.Event()

    async def send(
        self,
        key: PoolKey,
        origin: Origin,
        *,
        method: bytes,
        path: bytes,
        headers: Sequence[Header],
        body: bytes,
        fixed_headers: tuple[Header, ...] = (),
        head_timeout_seconds: float,
        chunk_timeout_seconds: float | None = None,
        allow_private: bool = False,
    ) -> UpstreamResponse:
        """Send one request and return when the headers of its answer are there.

        `path` is the whole request target. `headers` have lower-case names; those about the connection are left out.
        `fixed_headers` come before them: what the document gives this target, the same for each request.
        `head_timeout_seconds` runs from the write; `chunk_timeout_seconds` (by default the same) bounds each wait
        for more of the body.

        Raises:
            UpstreamUnavailable: 502 when the upstream can't be reached, may not be, or doesn't speak HTTP/1.1;
                504 when it is too slow; 503 when the pool is closed.
        """
        head = encode_head(origin, method, path, headers, len(body), fixed_headers)
        route = Route(key, origin, allow_private)
        is_head = method == b"HEAD"
        chunk_timeout = head_timeout_seconds if chunk_timeout_seconds is None else chunk_timeout_seconds
        connection = self._take_idle(route) or await self._connect(route)
        try:
            reader = await connection.exchange(
                head, body, is_head_request=is_head, timeout_seconds=head_timeout_seconds
            )
        except ClosedBeforeAnswer:
            connection = await self._connect(route)
            reader = await connection.exchange(
                head, body, is_head_request=is_head, timeout_seconds=head_timeout_seconds
            )
        return UpstreamResponse(connection, reader, chunk_timeout_seconds=chunk_timeout)

    async def aclose(self) -> None:
        """Close every connection, those in use too, and return when they are closed. The pool can't be used again."""
        self._closed = True
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for connection in list(self._open):
            connection.fail("was dropped: the gateway is closing")
        if self._open:
            await self._all_lost.wait()

    async def __aenter__(self) -> Self:
        """Nothing but the promise that `aclose` is called."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self.aclose()

    # -- What connections tell ---

    def finished(self, connection: Connection) -> None:
        """An exchange ended cleanly."""
        for evicted in self._shelf.put(connection, monotonic()):
            evicted.close()
        if self._sweep_timer is None:
            self._arm_sweep(asyncio.get_running_loop())

    def lost(self, connection: Connection) -> None:
        """A transport is closed."""
        self._open.discard(connection)
        self._shelf.discard(connection)
        if self._closed and not self._open:
            self._all_lost.set()

    # -- Inside ---

    def _take_idle(self, route: Route) -> Connection | None:
        now = monotonic()
        while (connection := self._shelf.take(route, now)) is not None:
            # INVARIANT: a connection serves the route it was made for. The shelf looks it up by route; this asks the
            # connection itself, so that a fault in the one is caught by the other.
            if connection.route == route and connection.is_quiet:
                return connection
            connection.close()
        return None

    async def _connect(self, route: Route) -> Connection:
        if self._closed:
            raise UpstreamUnavailable(f"`{route.origin}` was not contacted: the pool is closed", status=503)
        deadline = asyncio.get_running_loop().time() + self._connect_timeout_seconds
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await resolve(route.origin, allow_private=route.allow_private)
        except TimeoutError as err:
            raise UpstreamUnavailable(f"`{route.origin}` took too long to resolve", status=504) from err
        connection = await self._dial_any(route, addresses, deadline)
        # Only now, not in `connection_made`: a dial that is cancelled closes its transport itself, and uvloop then
        # never says `connection_lost`, for which `aclose` would wait for ever.
        if connection.failure is None:
            self._open.add(connection)
        if self._closed:
            connection.fail("was dropped: the gateway is closing")
        return connection

    async def _dial_any(self, route: Route, addresses: list[Address], deadline: float) -> Connection:
        """Try each address in turn; one that swallows packets gets its share of the time and no more."""
        loop = asyncio.get_running_loop()
        problem: OSError | None = None
        for index, address in enumerate(addresses):
            share = (deadline - loop.time()) / (len(addresses) - index)
            try:
                async with asyncio.timeout(share):
                    return await self._dial(route, address)
            except OSError as err:  # TimeoutError and ssl.SSLError among them
                problem = err
        status = 504 if isinstance(problem, TimeoutError) else 502
        reason = problem or "no answer in time"
        raise UpstreamUnavailable(f"`{route.origin}` can't be connected to: {reason}", status=status) from problem

    async def _dial(self, route: Route, address: Address) -> Connection:
        loop = asyncio.get_running_loop()
        is_tls = route.origin.scheme == "https"
        # INVARIANT: AI_NUMERICHOST forbids a look-up, so we connect to the address that was judged, or not at all.
        _, connection = await loop.create_connection(
            lambda: Connection(route, self, loop),
            str(address),
            route.origin.port,
            flags=socket.AI_NUMERICHOST,
            ssl=self._ssl_context if is_tls else None,
            server_hostname=route.origin.host if is_tls else None,
        )
        return connection

    def _arm_sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        expiry = self._shelf.next_expiry()
        self._sweep_timer = None
        if expiry is not None:
            self._sweep_timer = loop.call_later(expiry - monotonic() + _SWEEP_SLACK_SECONDS, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        for connection in self._shelf.expire(monotonic()):
            connection.close()
        self._arm_sweep(loop)
