"""One connection to an upstream: an asyncio protocol that carries one exchange at a time.

Promises: a request is written only when the connection is provably at the start of an exchange, and the connection
goes back to its pool only when it is so again. Whatever interrupts an exchange between the write and the last byte
read (cancellation, time-out, an odd byte, the other side closing) closes it for good (redis-py CVE-2023-28858: one
abandoned reply put every later one off by one, across users). A byte that nobody asked for closes it too.

Doesn't promise: to be safe for two callers at once; the pool hands it to one at a time, and a second is refused.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Coroutine
from typing import Any, Final, NamedTuple, Protocol, cast

from partywall.errors import UpstreamUnavailable
from partywall.tenancy import TenantId
from partywall.upstream.client.origin import Origin
from partywall.upstream.client.reader import ProtocolViolation, ResponseReader

__all__ = ["ClosedBeforeAnswer", "Connection", "ConnectionOwner", "PoolKey", "Route"]

_HIGH_WATER_BYTES: Final = 256 * 1024
"""Above this many decoded, untaken bytes the socket isn't read, so a slow client slows the upstream, not the memory."""
_JOIN_BELOW_BYTES: Final = 64 * 1024


class PoolKey(NamedTuple):
    """Whose connection it is: a tenant, and one target of the document."""

    tenant: TenantId
    target: str


class Route(NamedTuple):
    """Everything that two requests must have in common to share a connection.

    The origin and the permission are part of it because a reloaded document may give a target another address, or
    take the permission away; a connection made under the old text must not serve the new one.
    """

    key: PoolKey
    origin: Origin
    allow_private: bool


class ClosedBeforeAnswer(UpstreamUnavailable):
    """The peer closed a connection that had been idle before it answered: the one case that is sent again."""


class ConnectionOwner(Protocol):
    """What a connection tells its pool."""

    def finished(self, connection: Connection) -> None:
        """Its exchange ended cleanly; it may serve another of its route."""

    def lost(self, connection: Connection) -> None:
        """It is closed."""


class Connection(asyncio.Protocol):
    """See the module. Made by the pool, driven by `send` and an `UpstreamResponse`."""

    __slots__ = (
        "_accepts_eof",
        "_alarm",
        "_alarm_at",
        "_awaited",
        "_deadline",
        "_loop",
        "_owner",
        "_paused",
        "_poll",
        "_reader",
        "_transport",
        "_used",
        "_waiter",
        "failure",
        "idle_since",
        "route",
    )

    _transport: asyncio.Transport
    _poll: select.poll

    def __init__(self, route: Route, owner: ConnectionOwner, loop: asyncio.AbstractEventLoop) -> None:
        self.route = route
        self.idle_since = 0.0
        """When it became idle, on the monotonic clock; set by the shelf."""
        self.failure: UpstreamUnavailable | None = None
        """Why it was closed, if it was closed for a reason."""
        self._owner = owner
        self._loop = loop
        self._accepts_eof = route.origin.scheme == "http"
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._deadline = 0.0
        """When the wait that goes on, or went on last, is over; on the loop's clock."""
        self._awaited = (0.0, "")
        """Within how many seconds the upstream was to do what."""
        self._reader: ResponseReader | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._used = False

    # -- What the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Read on; or, with nothing asked, close: what follows would be taken for the next request's answer."""
        if self.failure is not None:
            return
        reader = self._reader
        if reader is None:
            self.fail("sent bytes that nobody asked for")
            return
        try:
            reader.feed(data)
        except ProtocolViolation as err:
            self.fail(str(err))
            return
        if reader.complete:
            if not reader.reusable:
                self._transport.abort()  # the answer is all here, and nothing more is wanted from this peer
        elif reader.buffered > _HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        waiter = self._waiter
        if reader.status and waiter is not None and not waiter.done():
            waiter.set_result(None)

    def eof_received(self) -> None:
        """The end of a body without a length, or the end of everything. The transport closes itself after this."""
        reader = self._reader
        if reader is None or not reader.started:
            return
        try:
            reader.feed_eof()
        except ProtocolViolation as err:
            self.fail(str(err))
        else:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """No more bytes in either direction."""
        self._owner.lost(self)
        if self._alarm is not None:
            self._alarm.cancel()
        reader = self._reader
        if reader is not None and reader.complete:
            return
        # Nobody is told of a loss while idle; the failure only keeps a caller who is about to write from waiting.
        if self._used and (reader is None or not reader.started):
            self._fail_with(ClosedBeforeAnswer(f"`{self.route.origin}` closed an idle connection"))
        else:
            self.fail(f"closed the connection before its answer was complete ({exc or 'end of stream'})")

    # -- What the pool calls ---

    @property
    def is_quiet(self) -> bool:
        """Whether it is open and nothing, not even an end of stream, waits to be read.

        The poll looks past the event loop into the kernel: a stale `408`, or an injected answer, that came while the
        loop was busy would otherwise be read as the answer to the request about to be written.
        """
        return self.failure is None and not self._transport.is_closing() and not self._poll.poll(0)

    def exchange(
        self, head: bytes, body: bytes, *, is_head_request: bool, timeout_seconds: float
    ) -> Coroutine[Any, Any, ResponseReader]:
        """Write a request. What it returns is to be awaited at once, until the final head of the answer has been read.

        Raises:
            ClosedBeforeAnswer: the peer had closed; no byte of an answer came.
            UpstreamUnavailable: no head within `timeout_seconds`, or not one.
        """
        if self._reader is not None:
            raise RuntimeError("a connection carries one exchange at a time")
        if self.failure is not None:
            raise self.failure
        reader = self._reader = ResponseReader(is_head_request=is_head_request, accepts_eof=self._accepts_eof)
        if len(body) < _JOIN_BELOW_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        deadline = self._loop.time() + timeout_seconds
        return self._wait(reader, deadline, timeout_seconds, "send the headers of its answer")

    async def wait_for_body(self, reader: ResponseReader, timeout_seconds: float) -> None:
        """Return when there are body bytes to take or the body is complete.

        Only content counts: chunk framing and trailers don't push the deadline back.
        """
        deadline = self._loop.time() + timeout_seconds
        while not (reader.complete or reader.buffered):
            self._resume()
            await self._wait(reader, deadline, timeout_seconds, "send more of its answer")

    def finish(self) -> None:
        """The answer was read to its end: go back to the pool if nothing is amiss, else close."""
        reader, self._reader = self._reader, None
        self._used = True
        if self._paused:
            self._resume()
        transport = self._transport
        # An answer that came before the request was written out leaves the rest of that request in the way.
        clean = reader is not None and reader.reusable and transport.get_write_buffer_size() == 0
        if clean and not transport.is_closing():
            self._owner.finished(self)
        else:
            self.close()

    def close(self) -> None:
        """Close without an exchange to fail."""
        self._transport.abort()

    def fail(self, what: str) -> None:
        """Close at once, and tell whoever waits that the upstream `what`."""
        self._fail_with(UpstreamUnavailable(f"`{self.route.origin}` {what}"))

    # -- Inside ---

    async def _wait(self, reader: ResponseReader, deadline: float, limit_seconds: float, what: str) -> ResponseReader:
        """Sleep until `reader` has something to say; close the connection if the sleep is broken off."""
        if self.failure is not None:
            raise self.failure
        if self._waiter is not None:
            raise RuntimeError("one task reads an answer, not two")
        waiter = self._waiter = self._loop.create_future()
        self._deadline = deadline
        self._awaited = limit_seconds, what
        # INVARIANT: while anybody waits, an alarm is set for the deadline or earlier.
        if self._alarm is None or self._alarm_at > deadline:
            self._set_alarm()
        try:
            await waiter
        except BaseException:
            # INVARIANT: cancelled between write and complete read means closed, whatever the caller does next.
            self.fail("was asked by a request that has been cancelled")
            raise
        finally:
            self._waiter = None
        if self.failure is not None:
            raise self.failure
        return reader

    def _set_alarm(self) -> None:
        # One for the connection, not one for each wait: a wait that ends in time leaves it as it is, and when it rings
        # it is set anew for the wait that goes on then. So most waits cost no timer, and none ends early or late.
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._deadline
        self._alarm = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None or self._waiter.done():
            return  # nobody waits; or answer and deadline came in the same turn of the loop, and the answer counts
        if self._deadline > self._alarm_at:
            self._set_alarm()
            return
        limit_seconds, what = self._awaited
        text = f"`{self.route.origin}` took longer than {limit_seconds:g} s to {what}"
        self._fail_with(UpstreamUnavailable(text, status=504))

    def _fail_with(self, error: UpstreamUnavailable) -> None:
        if self.failure is None:
            self.failure = error
        self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
