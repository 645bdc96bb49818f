"""uvicorn's HTTP protocol, with the limits that it lacks.

Promises: a head arrives within `HEADER_SECONDS` and `MAX_HEADER_BYTES` or the connection ends, and so it does when the
rest of a refused request, a trailer or stray bytes would hold it; trailers are never taken for headers; what is
malformed, or one too many, spoils no answer to the requests before it on the same connection.

Doesn't promise: a limit on connections, or a time for the body, which is the pipeline's.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Final

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from partywall.gateway.cycle import run

__all__ = ["HEADER_SECONDS", "MAX_HEADER_BYTES", "MAX_PIPELINED", "GatewayProtocol"]

HEADER_SECONDS: Final = 20.0
MAX_HEADER_BYTES: Final = 64 * 1024
MAX_PIPELINED: Final = 32
"""Requests of one connection that may wait for an answer at once."""
_TOO_LARGE: Final = b"HTTP/1.1 431 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_MALFORMED: Final = b"HTTP/1.1 400 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _TooManyPipelined(Exception):
    """Raised into the parser, which then stops."""


def _descriptors_for_clients() -> int:
    """Half of what the process may open; the rest is for upstreams and files."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 65_536 if allowed == resource.RLIM_INFINITY else max(allowed // 2, 16)


MAX_CONNECTIONS: Final = _descriptors_for_clients()
"""Clients connected at once, to one process."""


class GatewayProtocol(HttpToolsProtocol):
    """One client's connection."""

    _in_head = True
    """A head has begun, or is the first that we wait for."""
    _in_body = False
    """`self.cycle`'s body is still to come."""
    _deaf = False
    """Nothing that comes is read any more."""
    _overhead_bytes = 0
    """What came since the last complete head or piece of content."""
    _timer: asyncio.TimerHandle | None = None
    _earlier: tuple[RequestResponseCycle, ...] = ()
    """Requests before `self.cycle` that may still be unanswered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            # Answering would cost what there is too little of: descriptors are left for upstreams, records and reloads.
            transport.abort()
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        for cycle in self._earlier:  # uvicorn tells `self.cycle` alone, which isn't the one that runs
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._in_head and self._overhead_bytes + _until_head_ends(data) > MAX_HEADER_BYTES:
            self._give_up(_TOO_LARGE)
            return
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self._overhead_bytes > MAX_HEADER_BYTES:
            # A trailer or chunk extension without end: httptools would join it in memory, in quadratic time.
            self._give_up(_TOO_LARGE if self._in_head else _MALFORMED)
        elif self._timer is None and not self.transport.is_closing() and self._is_owed():
            self._start_timer()

    # -- What httptools calls ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._overhead_bytes = 0
        self._stop_timer()
        unanswered = self._unanswered()
        if len(unanswered) >= MAX_PIPELINED:
            raise _TooManyPipelined
        super().on_headers_complete()
        self._earlier = unanswered
        self._in_body = True
        # INVARIANT: the request keeps the list it was given; trailers, which no proxy has judged, go into this one.
        self.headers = []
        if self.parser.should_upgrade():
            # Nothing is spoken here but HTTP/1.1. What follows, llhttp takes for another protocol's.
            self.cycle.keep_alive = False
            self._deaf = True

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's signature; the client learns the status
        self._give_up(_MALFORMED)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        task = self.loop.create_task(run(app, cycle))  # type: ignore[arg-type]  # uvicorn spells the message types out
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    # -- The end of a connection -------------------------------------------------------------------------------------

    def _unanswered(self) -> tuple[RequestResponseCycle, ...]:
        """The requests that have come whole, or may yet, and whose answers haven't gone out."""
        if self.cycle is None:
            return ()
        return tuple(cycle for cycle in (*self._earlier, self.cycle) if not cycle.response_complete)

    def _give_up(self, answer: bytes) -> None:
        """Read nothing more. Answers still owed to whole requests go out first; `answer` only when none is."""
        self._stop_timer()
        self._deaf = True
        if self.transport.is_closing():
            return
        owed = [cycle for cycle in self._unanswered() if cycle is not self.cycle or not self._in_body]
        if owed:
            owed[-1].keep_alive = False  # uvicorn closes the connection behind its answer
            return
        if not (self._in_body and self.cycle.response_started):
            self.transport.write(answer)
        self.transport.close()

    # -- Time --------------------------------------------------------------------------------------------------------

    def _is_owed(self) -> bool:
        """Whether the client owes us bytes that nobody else waits for: a head, or the rest of what was answered."""
        return self._in_head or self.cycle.response_complete

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self._give_up(_TOO_SLOW if self._in_head else b"")


def _until_head_ends(data: bytes) -> int:
    end = data.find(b"\r\n\r\n")
    return len(data) if end < 0 else end
