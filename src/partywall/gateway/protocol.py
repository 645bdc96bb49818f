"""HTTP/1.1 as it is served: one client's connection, over llhttp (the parser of Node.js, through httptools).

Promises: a head arrives within `HEADER_SECONDS` and `MAX_HEADER_BYTES` or the connection ends, and so it does when the
rest of a refused request, a trailer or stray bytes would hold it; trailers are never taken for headers; requests of one
connection are answered one after the other, in their order; what is malformed, or one too many, spoils no answer to the
requests before it; nothing is spoken but HTTP/1.1, whatever upgrade is asked for; while a client doesn't read what it
was answered, nothing more is done for it, and in the end it gives up its connection.

Doesn't promise: a time for the body, which is the pipeline's; a limit on connections, which is `clients`'.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, cast

import httptools

from partywall.gateway.clients import Clients
from partywall.gateway.http import WRITE_SECONDS, ClientGone, Header, Request, Responder, header_lines

__all__ = ["HEADER_SECONDS", "KEEP_ALIVE_SECONDS", "MAX_HEADER_BYTES", "MAX_PIPELINED", "App", "GatewayProtocol"]

App = Callable[[Request, Responder], Awaitable[None]]

HEADER_SECONDS: Final = 20.0
KEEP_ALIVE_SECONDS: Final = 75.0
MAX_HEADER_BYTES: Final = 64 * 1024
MAX_PIPELINED: Final = 32
"""Requests of one connection that may wait for an answer at once."""
_HIGH_WATER_BYTES: Final = 64 * 1024
"""A body that nobody takes is read no further than this."""
_ABOUT_UPGRADE: Final = frozenset({b"connection", b"http2-settings", b"upgrade"})
_TOO_LARGE: Final = b"HTTP/1.1 431 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW: Final = b"HTTP/1.1 408 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_MALFORMED: Final = b"HTTP/1.1 400 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

_log = logging.getLogger("partywall.gateway")


class _TooManyPipelined(Exception):
    """Raised into the parser, which then stops."""


class GatewayProtocol(asyncio.Protocol):
    """One client's connection. `app` answers each request, and everything that can go wrong with it."""

    transport: asyncio.Transport

    def __init__(self, app: App, clients: Clients, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._clients = clients
        self._loop = loop
        self._parser = self._new_parser()
        self._url = b""
        self._headers: list[Header] = []
        self._in_head = True
        """A head has begun, or is the first that we wait for."""
        self._reading: Request | None = None
        """The request whose body is still to come."""
        self._unanswered: deque[Request] = deque()
        """Requests that came and whose answers aren't complete, in their order. The first one is being served."""
        self._overhead_bytes = 0
        """What came since the last complete head or piece of content."""
        self._deaf = False
        """Nothing that comes is read any more."""
        self._held = False
        self._writable: asyncio.Future[None] | None = None
        """Set while the client reads more slowly than we write."""
        self.deadline = math.inf
        """When the connection ends unless something happens before, on the loop's clock. `clients` looks at it."""
        self._is_timed = False
        """The deadline is that of a head or of a rest; one more byte doesn't move it."""
        self._unread_bytes = 0
        """What the client had still to read when it was last looked at."""
        self._read_by = math.inf
        """When a client that reads nothing at all gives up its connection."""

    # -- What the event loop calls -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._clients.admit(self):
            self._expect(HEADER_SECONDS)
        else:
            # Answering would cost what there is too little of: descriptors are left for upstreams, records and reloads.
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._clients.discard(self)
        self._deaf = True
        self.deadline = math.inf
        for request in self._unanswered:
            request.lost()
        self._wake_writer()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        overhead = self._overhead_bytes + len(data)
        # The second look, only where it may be too much: all but the end of a head may be its body.
        if (
            self._in_head
            and overhead > MAX_HEADER_BYTES
            and self._overhead_bytes + _until_head_ends(data) > MAX_HEADER_BYTES
        ):
            self._give_up(_TOO_LARGE)
            return
        self._overhead_bytes = overhead
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._give_up(_MALFORMED)
            return
        if self._overhead_bytes > MAX_HEADER_BYTES:
            # A trailer or chunk extension without end: httptools would join it in memory, in quadratic time.
            self._give_up(_TOO_LARGE if self._in_head else _MALFORMED)
        elif not self._is_timed and (self._in_head or not self._unanswered):
            # The client owes us bytes that nobody else waits for: a head, or the rest of what was answered.
            self._expect(HEADER_SECONDS)

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        self._wake_writer()
        if not self.transport.is_closing() and not (self._unanswered and self._unanswered[0].task is not None):
            self._go_on()

    def _wake_writer(self) -> None:
        waiter, self._writable = self._writable, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # -- What httptools calls ----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._in_head = True
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        self._in_head = self._is_timed = False
        self._overhead_bytes = 0
        self.deadline = math.inf
        if parser.should_upgrade():
            return  # the parser stops here, and `_pass_over_upgrade` begins the message anew
        waiting = len(self._unanswered)
        if waiting >= MAX_PIPELINED:
            raise _TooManyPipelined
        path, query = _target(self._url)
        request = Request(self, parser.get_method().decode("ascii"), path, query, self._headers)
        # INVARIANT: the request keeps the list it was given; trailers, which no proxy has judged, go into this one.
        self._headers = []
        request.is_http_10 = parser.get_http_version() == "1.0"
        request.keep_alive = parser.should_keep_alive() and not request.is_http_10
        self._reading = request
        self._unanswered.append(request)
        if waiting == 0 and self._writable is None:
            self._serve(request)

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes = 0
        request = self._reading
        if request is None or request.answered or request.feed(body) <= _HIGH_WATER_BYTES:
            return
        if request.task is not None:
            self.hold(held=True)
        else:
            # Who isn't read from can't be seen to leave, and the request before this one wants to know. So this one is
            # given up instead.
            self._unanswered[0].keep_alive = False
            self._deaf = True

    def on_message_complete(self) -> None:
        request, self._reading = self._reading, None
        if request is not None:
            request.end()

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # What follows a request that said `connection: close` is not looked at; it mustn't spoil that one's answer.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Read the message anew without what asks for another protocol: llhttp takes its body for that protocol's.

        Java's own client, for one, asks for HTTP/2 in this way with each request. The connection ends behind the
        answer: what follows might be meant for the other protocol.
        """
        parser, kept = self._parser, [header for header in self._headers if header[0] not in _ABOUT_UPGRADE]
        kept.append((b"connection", b"close"))
        start = b"%b %b HTTP/%b\r\n" % (parser.get_method(), self._url, parser.get_http_version().encode())
        self._parser = self._new_parser()
        try:
            self._parser.feed_data(start + header_lines(kept) + b"\r\n" + rest)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # CONNECT asks with its method
            self._give_up(_MALFORMED)

    # -- What a request and its responder call -----------------------------------------------------------------------

    def hold(self, *, held: bool) -> None:
        """Stop reading from the client, or go on."""
        if held != self._held and not self.transport.is_closing():
            self._held = held
            if held:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def answered(self, request: Request) -> None:
        """The answer to `request` is complete: the next one's turn, or the end."""
        request.answered = True
        self._unanswered.popleft()
        if self.transport.is_closing():
            return
        if not request.keep_alive:
            self.transport.close()
        elif self._writable is not None:
            self.hold(held=True)  # nothing more is taken on while what was answered isn't read
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self._held:
            self.hold(held=False)
        if self._unanswered:
            self._serve(self._unanswered[0])
        elif not self._is_timed:
            self.deadline = self._loop.time() + KEEP_ALIVE_SECONDS

    async def drained(self) -> None:
        """Return when the client has read enough; one that doesn't read at all gives up its connection."""
        if self._writable is None:
            return
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._writable
        except TimeoutError:
            self.transport.abort()
            raise ClientGone from None

    # -- Serving -----------------------------------------------------------------------------------------------------

    def _serve(self, request: Request) -> None:
        request.task = self._loop.create_task(self._run(request))

    async def _run(self, request: Request) -> None:
        """Answer one request. What escapes the application, which answers everything, closes the connection."""
        try:
            await self._app(request, Responder(self, request))
            if not request.answered:
                self.transport.close()
        except BaseException:
            self.transport.close()
            _log.exception("the application failed")
            raise

    def finish(self) -> None:
        """The gateway is closing: answer what has come, and nothing more."""
        if self._unanswered:
            self._unanswered[-1].keep_alive = False
        else:
            self.transport.close()

    def cancel(self) -> None:
        """The gateway doesn't wait any longer."""
        task = self._unanswered[0].task if self._unanswered else None
        if task is not None:
            task.cancel()
        self.transport.abort()

    # -- The end of a connection -------------------------------------------------------------------------------------

    def _give_up(self, answer: bytes) -> None:
        """Read nothing more. Answers still owed to whole requests go out first; `answer` only when none is."""
        self.deadline = math.inf
        self._deaf = True
        if self.transport.is_closing():
            return
        owed = [request for request in self._unanswered if request is not self._reading]
        if owed:
            owed[-1].keep_alive = False  # the connection is closed behind its answer
            return
        if answer and (self._reading is None or not self._reading.begun):
            self.transport.write(answer)
        self.transport.close()

    # -- Time --------------------------------------------------------------------------------------------------------

    def _expect(self, seconds: float) -> None:
        self._is_timed = True
        self.deadline = self._loop.time() + seconds

    def look(self, now: float) -> None:
        """Now and then: end what has waited for too long, on either side."""
        unread = self.transport.get_write_buffer_size()
        if unread == 0:
            self._read_by = math.inf
        elif self._read_by == math.inf or unread < self._unread_bytes:
            self._read_by = now + WRITE_SECONDS
        elif now >= self._read_by:
            self.transport.abort()
            return
        self._unread_bytes = unread
        if self.deadline < now:
            self._give_up(_TOO_SLOW if self._in_head else b"")


def _until_head_ends(data: bytes) -> int:
    end = data.find(b"\r\n\r\n")
    return len(data) if end < 0 else end


def _target(url: bytes) -> tuple[str, bytes]:
    """Path and query of a request target, not decoded. What is no target is refused by the parser that calls."""
    if url[:1] == b"/":
        path, _, query = url.partition(b"?")
    else:  # a whole URL (RFC 9112, section 3.2.2): its host is as good as a `host` header, which means nothing here
        parsed = httptools.parse_url(url)
        path, query = parsed.path or b"/", parsed.query or b""
    return path.decode("latin-1"), query
